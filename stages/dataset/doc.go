// Package dataset finds the pictures of a data set and the captions that belong
// to them, and the pictures that are to be captioned.
//
// # Data sets
//
// [Load] reads a folder, or a single file in one of these formats. Of a folder it
// takes the first that is there:
//
//   - an imagefolder as Hugging Face has it: metadata.jsonl, metadata.csv or
//     metadata.parquet, a row a picture or a caption: the picture under file_name,
//     its captions under text, caption or captions (a text or a list of them);
//     optionally image_id and split. As captions.csv or captions.txt, with commas,
//     semicolons, tabs or bars between the columns and image, image_name or
//     filename and comment understood, too, this is what the Kaggle copies of
//     Flickr8k and Flickr30k have;
//   - the original Flickr8k: Flickr8k.token.txt with the lists of its splits, and
//     the same file of Flickr30k;
//   - dataset.json or dataset_*.json, Karpathy's splits of Flickr8k, Flickr30k and
//     COCO, or COCO's captions_*.json; either may be in a folder annotations;
//   - Parquet files at any depth with pictures in them, as the datasets library
//     writes them: bytes, or a struct of bytes and path, in a column image. Rows
//     with the same picture are one picture. Rows may name their pictures instead,
//     as yerevann/coco-karpathy does. Our own shards are read, too;
//   - WebDataset's tar files at any depth, plain or compressed with gzip: what has
//     a name in common up to the first dot of its last part belongs together, a
//     picture, and captions in .txt (a line each) or .json;
//   - rows in *.jsonl or *.json with the columns of an imagefolder or of
//     yerevann/coco-karpathy, whose sentences are texts or objects with raw;
//   - pictures with a .txt beside them, a caption a line.
//
// Several rows about one picture are one picture with several captions. A picture
// that is a file of its own is looked for beside its metadata, in folders with the
// names that Flickr8k, Flickr30k and COCO have, below [Options.ImageRoot] if that is
// set, and else at its url or coco_url.
//
// Splits are those of the rows, of the folders and of the beginnings of file names
// (train, val, valid, validation, dev, test; restval counts as train). A data set of which
// everything is called train names no splits.
//
// A row that names no picture that is there, or one outside the folder, becomes a
// dead letter, as does a tar file that is cut off, after the samples before the
// cut. A folder without pictures, without captions, or of which no row
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
// #?%[]*, newlines or bytes that are no text. A row of a Parquet file is
// parquet:FILE#ROW, a member of a tar file tar:FILE#MEMBER, both in
// percent-encoding.
//
// [Sources] opens the pictures.
package dataset
