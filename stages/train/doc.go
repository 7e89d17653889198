// Package train is the stage that fine-tunes a model: one DoFn that takes the
// folder of preprocessed shards and gives the folder of the best checkpoint.
//
// # Behaviour
//
// Shards are streamed. An epoch goes through them in an order of its own, and
// pictures pass through a shuffle buffer of bounded size; both depend on the
// seed and the epoch alone. Batches are read, put together, augmented if the
// settings say so, and normalised ahead of the device. Where the shards'
// captions begin with a prompt, its ids are given rather than learned.
//
// By epochs or steps the model is judged on the validation split, without
// augmentation: its loss, and the scores of the captions that it generates after
// the prompt with the run's generation settings. The generator never sees a
// reference: the rows that it captions are read without their captions. A data
// set without a validation split keeps its last checkpoint as the best.
//
// # Again
//
// Checkpoints stay in the output. The same command, or a bundle that a runner
// retries, goes on from the last one, and ends as a run that was not interrupted;
// other settings, another data set or another base model are refused rather than
// mixed. Of two attempts at a time one holds the lease of the output (package
// lease), and only it can write there.
//
// A signal to end the process stops training with a checkpoint, in whatever
// process it runs; see [Outlive] for a program that submits and works in one.
//
// # Metrics
//
// Under the namespace train: the counters steps and samples, the distributions
// step_latency_micro_secs and data_wait_micro_secs, and the gauges global_step,
// loss_milli and heartbeat_unix_secs, which also moves while a run evaluates.
package train
