// Package train is the stage that fine-tunes a model: one DoFn that takes the
// folder of preprocessed shards and gives the folder of the best checkpoint.
//
// # Behaviour
//
// Shards are streamed. An epoch goes through them in an order of its own, and
// pictures pass through a shuffle buffer of bounded size; both depend on the
// seed and the epoch alone. Batches are read, put together, augmented if the
// settings say so, and normalised ahead of the device. Where the shards'
// captions begin with a prompt, its ids are given rather than learned. After
// each epoch the model is judged on the validation split, without
// augmentation: its loss, and sacrebleu's BLEU of the captions that it
// generates after the prompt with the run's generation settings. The generator
// never sees a reference: the rows that it captions are read without their
// captions.
//
// A data set without a validation split keeps its last checkpoint as the best.
//
// # Again
//
// Checkpoints stay in the output. The same command goes on from the last one;
// other settings, another data set or another base model are refused rather
// than mixed. Two runs into one output at a time are not guarded against here:
// the preprocess stage holds the lock of a training pipeline.
package train
