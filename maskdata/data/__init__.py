"""The data half: TensorFlow only. Import from `maskdata`, not from here."""
