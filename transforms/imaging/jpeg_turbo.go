//go:build (darwin || freebsd || linux || netbsd) && (amd64 || arm64)

package imaging

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"unsafe"

	"github.com/ebitengine/purego"
)

// TurboJPEG constants (turbojpeg.h of libjpeg-turbo 2.0 to 3.1, API "2.x",
// which 3.x keeps).
const (
	turboRGB  = 0  // TJPF_RGB
	turboCMYK = 11 // TJPF_CMYK

	// With no flags but this one, TurboJPEG decodes as libjpeg does by default
	// and as Pillow has it do: the accurate integer transform and smooth
	// upsampling. TJFLAG_LIMITSCAN refuses over 500 scans, an old way to keep a
	// decoder busy; versions before 2.1 ignore it.
	turboFlags = 32768

	turboIsWarning = 0 // TJERR_WARNING
)

// TurboLibraryEnv names a libturbojpeg to load in place of the system's.
const TurboLibraryEnv = "BLIPFLOW_LIBTURBOJPEG"

// turboLib is libturbojpeg, loaded.
type turboLib struct {
	create     func() unsafe.Pointer
	destroy    func(handle unsafe.Pointer) int32
	decompress func(handle unsafe.Pointer, jpeg *byte, size uintptr, dst *byte, w, pitch, h, format, flags int32) int32
	errorText  func(handle unsafe.Pointer) string
	errorCode  func(handle unsafe.Pointer) int32
}

var turbo = sync.OnceValues(loadTurbo)

func turboNames() []string {
	if path := os.Getenv(TurboLibraryEnv); path != "" {
		return []string{path}
	}
	if runtime.GOOS == "darwin" {
		return []string{
			"libturbojpeg.0.dylib", "libturbojpeg.dylib",
			"/opt/homebrew/opt/jpeg-turbo/lib/libturbojpeg.dylib",
			"/usr/local/opt/jpeg-turbo/lib/libturbojpeg.dylib",
		}
	}
	return []string{"libturbojpeg.so.0", "libturbojpeg.so"}
}

func loadTurbo() (*turboLib, error) {
	var failed []error
	for _, name := range turboNames() {
		handle, err := purego.Dlopen(name, purego.RTLD_NOW|purego.RTLD_LOCAL)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		lib := new(turboLib)
		if err := lib.bind(handle); err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", name, err))
			continue
		}
		return lib, nil
	}
	return nil, fmt.Errorf("load libturbojpeg: %w", errors.Join(failed...))
}

// bind looks up the functions. Versions before 2.0 lack the last two, whose
// predecessors are not safe with threads.
func (t *turboLib) bind(handle uintptr) error {
	for name, fn := range map[string]any{
		"tjInitDecompress": &t.create,
		"tjDestroy":        &t.destroy,
		"tjDecompress2":    &t.decompress,
		"tjGetErrorStr2":   &t.errorText,
		"tjGetErrorCode":   &t.errorCode,
	} {
		sym, err := purego.Dlsym(handle, name)
		if err != nil {
			return err
		}
		purego.RegisterFunc(fn, sym)
	}
	return nil
}

// decode fills dst with the pixels of data. w and h are the size in the frame
// header and dst holds w*h pixels: should the library read another size out of
// data, it scales down to what fits or refuses, so it never writes beyond dst.
//
// Warnings are passed over, as Pillow does: the library has filled in for
// damaged data.
//
// A handle lives for one call, which costs about a microsecond, since it keeps
// its buffers for as long as it lives.
func (t *turboLib) decode(data, dst []byte, w, h, samples, format int) error {
	if len(data) == 0 || w <= 0 || h <= 0 || len(dst) != w*h*samples {
		return corruptf("buffer of %d bytes for %dx%d", len(dst), w, h)
	}
	handle := t.create()
	if handle == nil {
		return errors.New("libjpeg-turbo: out of memory")
	}
	defer t.destroy(handle)
	rc := t.decompress(handle, &data[0], uintptr(len(data)), &dst[0],
		int32(w), int32(w*samples), int32(h), int32(format), turboFlags)
	runtime.KeepAlive(data)
	runtime.KeepAlive(dst)
	if rc == 0 || t.errorCode(handle) == turboIsWarning {
		return nil
	}
	text := t.errorText(handle)
	return fmt.Errorf("%w: libjpeg-turbo: %s", turboSentinel(text), text)
}

func turboSentinel(text string) error {
	if strings.HasPrefix(text, "Unsupported") || strings.Contains(text, "not supported") {
		return ErrUnsupported
	}
	return ErrCorrupt
}
