// Package preprocess turns a data set into Parquet shards that a model trains on:
// each picture is decoded, resized and stored once, with its captions and their
// token ids, in the split that it belongs to.
//
// # Graph
//
//	listing → chunks of references → hash → plan → shard jobs → write → commit
//
// References pass between the stages, never pixels: a shard is one element, and
// what decodes, resizes, tokenises and writes it are goroutines inside that
// element.
//
// # Splits
//
// The split is by picture and by content. A picture's position is a hash of the
// split seed and the SHA-256 of its file, so that equal files are on one side, and
// which side that is depends neither on names nor on order nor on the number of
// workers. From [RankBelow] pictures on, the cuts between the splits are fixed
// shares of the range of positions, and a picture stays where it is as others are
// added. Of fewer pictures chance would leave too many or none on one side, so
// there the cuts are put between the pictures where they give the shares exactly,
// with one picture at least for each share. Splits that the data set names are
// respected.
//
// Rows stand in the order of their positions, which is as good as shuffled.
//
// Pictures that look like one in another split, by their perceptual hashes, are
// counted; with Dedupe they are left out and become dead letters. A picture of the
// test split stays before one of validation, and that before one of train.
//
// # Captions
//
// Shards hold captions as people wrote them, for evaluation, and token ids of
// them as training wants them: cleaned, cut and after a prompt, if the settings
// say so.
//
// # Sources
//
// Pictures that are dear to read twice, those on the web and in Parquet files and
// compressed tar files, are copied into the work folder as they are hashed, and
// a run that goes on does not get them again.
//
// # Output
//
//	train-00000-of-00007.parquet …    see stages/records
//	errors.jsonl                      dead letters, a line each
//	manifest.json                     written last: what is complete
//
// A picture that cannot be used is a dead letter and never an error of the run;
// every picture of the data set is in exactly one of shards and dead letters, and
// the commit fails if they don't add up. A caption without a word is a dead letter
// of its own, while its picture goes on with the others. A run in which no picture
// can be used fails.
//
// # Again
//
// Shards are finished in a hidden folder of the output that is named after the
// settings, and take their places when all are there; the former output stays
// until then. The same command after a crash goes on from the shards that are
// finished, and after success does nothing. Other settings, or a data set that
// changed, start afresh; nothing of the former output stays beside the new. Two
// runs into one folder at a time are refused.
//
// The same data set, settings and JPEG decoder give the same bytes with any
// number of workers, on any runner, in one go or several.
package preprocess
