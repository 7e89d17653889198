// Package dataset finds the pictures of a data set and the captions that belong
// to them, and the pictures that are to be captioned.
//
// # Data sets
//
// [Load] reads a folder of pictures with their captions in one of these files:
//
//   - metadata.jsonl, as Hugging Face's imagefolder has it: an object a line, the
//     picture under file_name, its caption under text, caption or captions (a
//     string or a list of them); optionally image_id and split;
//   - metadata.csv, captions.csv or captions.txt with a header that names the same
//     columns (image, image_name and filename are understood for file_name,
//     comment for text) and commas, semicolons, tabs or bars between them, as the
//     Kaggle copies of Flickr8k and Flickr30k have it.
//
// Several rows about one picture are one picture with several captions. Names are
// relative to the file that holds them; where a picture is not there, the folders
// Images and images beside it are looked into. If the folder has subfolders named
// train, validation (or val, valid, dev) and test with such a file in each, these
// are named splits; so are rows with a split of their own, and pictures whose
// path begins with such a name.
//
// A row that names no picture that is there, or one outside the folder, becomes a
// dead letter. A folder without pictures, without captions, or of which no row
// can be used is an error, as is a metadata file that cannot be parsed.
//
// # Inputs
//
// [List] finds pictures without captions: a file, a folder and what is below it,
// a glob, or a list of names in a file.
//
// # Names
//
// A picture's key and URI are always valid UTF-8, since they go into JSON and
// Parquet: see [EncodeName]. Any name that a file can have works, with spaces,
// #?%[]*, newlines or bytes that are no text.
//
// Everything is local for now. An [Opener] is all that stages know of where bytes
// come from.
package dataset
