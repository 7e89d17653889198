// Package evaluate is the stage that scores captions against references.
//
// # Graph
//
//	references ─┬──────────────→ CoGroupByKey by picture ─┬→ audit ───────────────────────┐
//	predictions ┴→ name → id ──↗                          └→ chunks ─┬→ count → Combine ┐ │
//	                                                                 └→ score ←─────────┘ │
//	                                                                      └→ Combine ─────┴→ report
//
// A chunk is five thousand pictures that are neighbours in their source. Two passes go
// through the chunks in parallel: one counts the n-grams of the references, which
// CIDEr weighs by how many pictures have them; the other scores, and adds up what
// the scores of a set follow from (metrics.Statistics), for all pictures, for each
// domain, and for each resample. Sums are of integers and fixed-point numbers: the
// digits of a score depend neither on the chunks nor on who scored them.
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
// part of the pictures is another score. With AllowMissing such pictures are left
// out, and their number stands in the report.
//
// # Honesty
//
// A prediction whose prompt tells a reference is an error that names the picture
// (a row of captions may have a prompt), and so is a picture of the training data,
// where that is given. Scores and captions that are too good to be true are warned
// of in the report.
//
// # Domains
//
// Pictures of a domain are scored as a set of their own besides: CIDEr's
// frequencies are those of its references alone.
//
// # Limits
//
// The captions of one file are held in memory, and in each process that scores the
// n-grams that the references of at least two pictures have. The reference
// tokeniser reads all captions as one text and so looks past a caption's end; here
// it does so within a file of references, and up to four pictures past a chunk.
package evaluate

// Stage is the stage's name in the progress display, and the namespace of its
// Beam metrics.
const Stage = "evaluate"
