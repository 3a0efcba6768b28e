"""Blocks -> a directory of TFRecord files with a manifest -> blocks: nothing is lost unseen."""
