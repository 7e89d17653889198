package torch

import "github.com/sugarme/gotch/ts"

// HostMemory tells how many bytes of the host's memory the tensors of this
// process take, and the most that they took at once. Tensors below a megabyte
// are left out, and what libraries under libtorch take for themselves.
//
// Large blocks come from a pool that uses them again, rather than from malloc:
// the system hands out memory page by page, cleared, at first touch, and malloc
// gives a block back between two operations that need it. The pool holds no more
// in all than were in use at once before, and no more in idle blocks than in
// used ones.
func HostMemory() (used, most int64) {
	used, _, most = ts.PoolBytes()
	return used, most
}

// ReleaseHostMemory gives idle blocks back to the system, and lets the most of
// HostMemory begin anew.
func ReleaseHostMemory() { ts.PoolForget() }
