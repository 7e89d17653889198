package libtorch

import (
	"runtime"
)

// FetchedVersion is the torch that Fetch takes.
const FetchedVersion = "2.11.0"

// wheel is one file of the package index, pinned by its hash.
type wheel struct {
	// name and version as pip's requirement has them.
	name, version string
	// platform, python and abi are the tags that pip is asked for; empty python
	// and abi mean any. They do not depend on the Python that asks.
	platform, python, abi string
	// file is the wheel's file name.
	file string
	// sha256 of the file, in hexadecimal.
	sha256 string
	// size in bytes, for the progress and the check of free space.
	size int64
}

// fetched is one platform's set of wheels: torch first, then those that have
// the shared libraries which its CPU library is linked with.
type fetched struct {
	wheels []wheel
	// unpacked is about what stays of them, in bytes.
	unpacked int64
}

var platforms = map[string]fetched{
	"linux/amd64": {
		unpacked: 520e6,
		wheels: []wheel{
			{
				name: "torch", version: FetchedVersion,
				platform: "manylinux_2_28_x86_64", python: "311", abi: "cp311",
				file:   "torch-2.11.0-cp311-cp311-manylinux_2_28_x86_64.whl",
				sha256: "7aa2f9bbc6d4595ba72138026b2074be1233186150e9292865e04b7a63b8c67a",
				size:   530604548,
			},
			{
				name: "nvidia-cuda-runtime", version: "13.0.96",
				platform: "manylinux2014_x86_64",
				file:     "nvidia_cuda_runtime-13.0.96-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
				sha256:   "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548",
				size:     2243632,
			},
			{
				name: "nvidia-cuda-cupti", version: "13.0.85",
				platform: "manylinux_2_25_x86_64",
				file:     "nvidia_cuda_cupti-13.0.85-py3-none-manylinux_2_25_x86_64.whl",
				sha256:   "4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8",
				size:     10715597,
			},
		},
	},
	"linux/arm64": {
		unpacked: 520e6,
		wheels: []wheel{
			{
				name: "torch", version: FetchedVersion,
				platform: "manylinux_2_28_aarch64", python: "311", abi: "cp311",
				file:   "torch-2.11.0-cp311-cp311-manylinux_2_28_aarch64.whl",
				sha256: "d91aac77f24082809d2c5a93f52a5f085032740a1ebc9252a7b052ef5a4fddc6",
				size:   420e6,
			},
			{
				name: "nvidia-cuda-runtime", version: "13.0.96",
				platform: "manylinux2014_aarch64",
				file:     "nvidia_cuda_runtime-13.0.96-py3-none-manylinux2014_aarch64.manylinux_2_17_aarch64.whl",
				sha256:   "ef9bcbe90493a2b9d810e43d249adb3d02e98dd30200d86607d8d02687c43f55",
				size:     2e6,
			},
			{
				name: "nvidia-cuda-cupti", version: "13.0.85",
				platform: "manylinux_2_25_aarch64",
				file:     "nvidia_cuda_cupti-13.0.85-py3-none-manylinux_2_25_aarch64.whl",
				sha256:   "796bd679890ee55fb14a94629b698b6db54bcfd833d391d5e94017dd9d7d3151",
				size:     10e6,
			},
		},
	},
}

// pinned is this platform's set.
func pinned() (fetched, bool) {
	set, ok := platforms[runtime.GOOS+"/"+runtime.GOARCH]
	return set, ok
}
