//go:build !amd64

package imaging

func bestPasses() passes { return inLanes }
