"""JSON lines, Parquet files and Arrow tables -> blocks and columns. All of it needs pyarrow, an extra."""
