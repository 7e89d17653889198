package libtorch

import (
	"runtime"
	"slices"

	"github.com/blipflow/blipflow/model/setup/internal/wheel"
)

// FetchedVersion is the torch that Fetch takes.
const FetchedVersion = "2.11.0"

// otherwise is what a user without the wheels can do.
const otherwise = "set LIBTORCH to a folder with libtorch"

// fetched is one platform's set of wheels: torch first, then those that have
// the shared libraries which its CPU library is linked with.
type fetched struct {
	wheels []wheel.Wheel
	// unpacked is about what stays of them, in bytes.
	unpacked int64
}

var platforms = map[string]fetched{
	"linux/amd64": {
		unpacked: 520e6,
		wheels: []wheel.Wheel{
			{
				Name: "torch", Version: FetchedVersion,
				Platform: "manylinux_2_28_x86_64", Python: "311", ABI: "cp311",
				File:   "torch-2.11.0-cp311-cp311-manylinux_2_28_x86_64.whl",
				SHA256: "7aa2f9bbc6d4595ba72138026b2074be1233186150e9292865e04b7a63b8c67a",
				Size:   530604548,
			},
			{
				Name: "nvidia-cuda-runtime", Version: "13.0.96",
				Platform: "manylinux2014_x86_64",
				File:     "nvidia_cuda_runtime-13.0.96-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
				SHA256:   "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548",
				Size:     2243632,
			},
			{
				Name: "nvidia-cuda-cupti", Version: "13.0.85",
				Platform: "manylinux_2_25_x86_64",
				File:     "nvidia_cuda_cupti-13.0.85-py3-none-manylinux_2_25_x86_64.whl",
				SHA256:   "4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8",
				Size:     10715597,
			},
		},
	},
	"linux/arm64": {
		unpacked: 520e6,
		wheels: []wheel.Wheel{
			{
				Name: "torch", Version: FetchedVersion,
				Platform: "manylinux_2_28_aarch64", Python: "311", ABI: "cp311",
				File:   "torch-2.11.0-cp311-cp311-manylinux_2_28_aarch64.whl",
				SHA256: "d91aac77f24082809d2c5a93f52a5f085032740a1ebc9252a7b052ef5a4fddc6",
				Size:   420e6,
			},
			{
				Name: "nvidia-cuda-runtime", Version: "13.0.96",
				Platform: "manylinux2014_aarch64",
				File:     "nvidia_cuda_runtime-13.0.96-py3-none-manylinux2014_aarch64.manylinux_2_17_aarch64.whl",
				SHA256:   "ef9bcbe90493a2b9d810e43d249adb3d02e98dd30200d86607d8d02687c43f55",
				Size:     2e6,
			},
			{
				Name: "nvidia-cuda-cupti", Version: "13.0.85",
				Platform: "manylinux_2_25_aarch64",
				File:     "nvidia_cuda_cupti-13.0.85-py3-none-manylinux_2_25_aarch64.whl",
				SHA256:   "796bd679890ee55fb14a94629b698b6db54bcfd833d391d5e94017dd9d7d3151",
				Size:     10e6,
			},
		},
	},
}

// pinned is this platform's set.
func pinned() (fetched, bool) {
	set, ok := platforms[runtime.GOOS+"/"+runtime.GOARCH]
	set.wheels = slices.Clone(set.wheels)
	for i := range set.wheels {
		set.wheels[i].Otherwise = otherwise
	}
	return set, ok
}
