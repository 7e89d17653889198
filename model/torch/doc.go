// Package torch is the only door to libtorch: tensors, their lifetimes, and
// the operations that BLIP needs. No other package imports gotch.
//
// # Threads
//
// libtorch keeps its error text and its grad mode in thread-locals, and
// goroutines move between threads. So each Device has one goroutine that is
// locked to one operating system thread, and everything that touches a tensor
// runs there, inside [Device.Run]. Calls from many goroutines queue up.
//
// # Lifetimes
//
// The Go heap does not see libtorch's memory, so nothing here waits for the
// garbage collector. Every operation records its result in the innermost
// scope: the one that Run opened, or that of a [Tidy] inside it. When the
// scope ends, all that it recorded is freed, except what was passed on: the
// result of a Tidy moves to the scope around it, and a tensor that was
// [Tensor.Keep]-ed lives until [Tensor.Free]. [Live] counts what is alive.
//
// # Errors
//
// An operation that libtorch refuses panics with a private error type, which
// Run recovers and returns: the code of a network reads like the paper and no
// panic of ours leaves the package. Any other panic is a bug; Run frees the
// scope and raises it again in the goroutine of the caller.
package torch
