// Package lease keeps two attempts at one piece of work from writing into one
// folder: a bundle that a runner retries on another worker while the first still
// lives, or a command that was started twice, on one machine or on several that
// share a file system.
//
// # Behaviour
//
// A folder has one holder at a time. [Acquire] takes a lease that is free, takes
// over that of a holder that is gone, and answers [ErrHeld] for one that lives.
// Each lease has a token, one higher than that of the lease before it. The holder
// changes the folder within [Lease.Do], which compares tokens first: a holder
// that was taken over, because it was stopped or cut off for too long, gets
// [ErrLost] instead.
//
// A holder is gone
//   - at once when its process ends, however it ends, for others under the same
//     kernel, which see it by a lock of the operating system (on Linux; not on a
//     file system without locks);
//   - otherwise after its lease has not changed for the TTL, while the holder
//     renews it 60 times in that time. An observer counts the TTL from the
//     moment at which it saw the lease change itself. No machine's clock is ever
//     compared with another's.
//
// So a live holder shows within a 60th of the TTL, and Acquire waits for that
// before it refuses.
//
// # Files
//
//	.lease-N        the lease with token N, a line of JSON; the highest N counts
//	.lease-N.alive  locked by the process that holds it
//	.lease.lock     locked while the folder is changed or the lease changes hands
//
// A lease that was released stays, marked as free, so that tokens go on rising.
// A file that makes no sense is the lease of a holder that nobody knows; it runs
// out like any other.
//
// # Limits
//
// Do compares and changes under a lock that taking over needs too, so between
// processes that share locks, as those of one machine do and as NFS has them, no
// stale holder changes anything.
//
// On a file system whose locks do not reach other machines, or that has none, a
// lease is still claimed by one alone, since the file of its token is created by
// one alone. What remains is a holder that stalls within Do, after the comparison
// and before the change. Do renews the lease right before it compares, so others
// take over no sooner than a TTL after that: the stall would have to last for
// the TTL, less the time in which a file system shows one machine the changes of
// another. NFS's caches hold back changes for up to 60 seconds by default: a TTL
// has to be well above that, as the default of 2 minutes is. A holder whose
// renewals fail, as on a full disk, goes on for half a TTL after the last one and
// no longer.
package lease
