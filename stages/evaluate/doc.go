// Package evaluate is the stage that scores captions against references.
//
// # Graph
//
//	references ─┬─────────────→ CoGroupByKey by picture → gather → score → file
//	predictions ┴→ name → id ──↗
//
// # References
//
// They are read from COCO's annotation JSON, from the data set JSON of Karpathy's
// splits, or from shards of examples. The last two name splits, of which one is
// taken, test by default.
//
// # Predictions
//
// They are read from COCO's results JSON, or from the JSON Lines that captioning
// writes. A prediction belongs to the picture with its image_id; where it has
// none, or no picture has that, to the one with its path, and else to the only one
// with its file name.
//
// Ids may be numbers or strings: 42 and "42" are the same.
//
// Each picture must have exactly one prediction and each prediction a picture.
// What is missing or too much is an error that names some of it: a score over a
// part of the pictures is another score.
//
// # Limits
//
// The captions of one file, and all that are scored, are held in memory.
package evaluate

// Stage is the stage's name in the progress display, and the namespace of its
// Beam metrics.
const Stage = "evaluate"
