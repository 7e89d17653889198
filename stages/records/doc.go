// Package records holds the rows that stages hand to one another as files:
// training examples in Parquet, and dead letters in JSON Lines.
//
// # Examples
//
// A shard is one Parquet file, compressed with zstd, a row an image (see
// [Example]). What made its pixels and token ids stands in the file's
// key-value metadata (see [Meta]), and [Meta.Compatible] is how a trainer
// refuses shards that were made with another processor or vocabulary.
//
// Pixels are the bytes of the resized RGB picture by default, H×W×3 row-major:
// lossless against the reference processor (which rescales and normalises
// after its uint8 resize) at a quarter of the size of float32. With
// [Float32] the column "pixels" is instead a list of float, normalised, 3×H×W,
// for readers that want tensors. Any Parquet reader can read either.
//
// A [Writer] closes a row group when its rows reach a set number of bytes, so a
// [Reader] holds one row group's pages, not the file. A Writer's output depends
// on the rows and the metadata alone: the same rows give the same bytes.
//
// A Reader treats its file as outside bytes: truncated or malformed input is an
// error that wraps [ErrMalformed], never a panic. What a hostile file can still
// do is make the reader allocate as much as one page claims to hold, 2 GiB at
// most.
//
// # Dead letters
//
// A picture that cannot be used is no error of the run: it becomes a
// [DeadLetter] that says which one, where, and why.
package records
