// Package caption is the stage that captions pictures with a trained model.
//
// # Graph
//
//	plan file → chunks of references → caption → parts → barrier → commit
//	example shards + model folder    → caption → parts → predictions
//
// References pass between the stages, never pixels. An element is a chunk of
// pictures or one shard of examples; inside it goroutines read, decode and resize
// ahead of the model, and batches are put together from the pictures that could
// be read, so that their sizes depend on the chunk and not on the runner's
// bundles. A process loads a model once, whoever asks for it.
//
// # Every picture once
//
// A picture that cannot be read is a dead letter and never an error of the run:
// each picture of the input is either in the captions or in the dead letters, and
// the commit fails if they don't add up. An error of the model ends the run, since
// all pictures reach it in one shape and none of them is to blame.
//
// # Output
//
//	name.jsonl                            --output=name.jsonl
//	name.errors.jsonl                     dead letters, if there are any
//	name.jsonl.manifest.json              written last: what is complete
//
//	captions-00000-of-00007.jsonl …       --output=dir/
//	errors-00000-of-00007.jsonl …         only where a shard has dead letters
//	manifest.json
//
// Captions stand in the order of the input. A score that is no finite number is
// null in JSON and empty in CSV.
//
// # Again
//
// Parts are finished in a hidden folder beside the output and joined when all are
// there. The same command after a crash keeps the finished ones: a part is named
// after its pictures (name, size, time of change), the settings and the model, so
// that none is kept for what has changed. After success the same command does
// nothing. A finished output of other settings is left alone unless it is to be
// overwritten, and stays until its successor is complete.
//
// # References
//
// Of a shard of examples only the columns with the name and the pixels are read.
// Captions that people wrote never come near the generator.
package caption

// Stage is the name under which this package writes dead letters, and the
// namespace of its Beam metrics.
const Stage = "caption"
