// Package events writes TensorBoard's event files: numbers and texts over the
// steps of a run, under tags such as "train/loss".
//
// A file is a row of TFRecords, and each holds an Event message of
// TensorFlow's event.proto. The bytes of an event are those of
// torch.utils.tensorboard, which Hugging Face's TensorBoardCallback writes
// with: a number is a simple_value, in single precision, and a text a string
// tensor of TensorBoard's text plugin, whose tag ends in "/text_summary".
//
// Every opening makes a file of its own, as TensorBoard expects: it reads the
// files of a folder in the order of their names, each to its end, and goes on
// with the next. So the time in a name is moved on where the folder holds a
// later one already, as after a restart within a second or on a machine whose
// clock is behind. A process that dies leaves a torn record at worst, the last
// of its file, which TensorBoard passes over.
//
// A file begins with a SessionLog START event, at which TensorBoard drops what
// earlier files hold from its step on. TensorBoard takes the first START of a
// folder for the beginning of the run and lets it drop nothing, so there has to
// be one in the first file too, which torch's SummaryWriter leaves out unless
// it is given a purge_step. TensorBoard's fast loader (--load_fast) knows no
// START: there a value takes the place of all values of its tag from its step
// on.
package events
