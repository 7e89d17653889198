package lease

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	prefix      = ".lease-" // then the token
	aliveSuffix = ".alive"
	asideSuffix = ".new"
	lockName    = ".lease.lock"
)

// state is what the file of a lease says.
type state struct {
	Token int64 `json:"token"`
	// Owner is of this lease alone.
	Owner string `json:"owner"`
	Host  string `json:"host"`
	PID   int    `json:"pid"`
	// Machine names the kernel, and the file system under it, on which the lock of
	// the alive file tells whether the holder lives. Empty where no lock does.
	Machine string `json:"machine,omitempty"`
	// Since is by the holder's clock, for people to read.
	Since time.Time `json:"since"`
	// TTL is how long the lease is good without a renewal, in nanoseconds.
	TTL time.Duration `json:"ttl"`
	// Renewals counts them.
	Renewals int64 `json:"renewals"`
	// Released leases are free.
	Released bool `json:"released,omitempty"`
}

// maxTTL bounds what a file can make others wait for.
const maxTTL = 24 * time.Hour

// maxFile is above the size of any file that this package writes.
const maxFile = 4096

var errMalformed = errors.New("this is no lease")

// parse reads the file of a lease.
func parse(data []byte) (state, error) {
	var s state
	if len(data) > maxFile {
		return state{}, fmt.Errorf("%w: it has more than %d bytes", errMalformed, maxFile)
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return state{}, fmt.Errorf("%w: %w", errMalformed, err)
	}
	switch {
	case s.Token <= 0:
		return state{}, fmt.Errorf("%w: the token is %d", errMalformed, s.Token)
	case s.Owner == "":
		return state{}, fmt.Errorf("%w: it has no owner", errMalformed)
	case s.TTL <= 0 || s.TTL > maxTTL:
		return state{}, fmt.Errorf("%w: the TTL is %v", errMalformed, s.TTL)
	case s.Renewals < 0:
		return state{}, fmt.Errorf("%w: it has %d renewals", errMalformed, s.Renewals)
	}
	return s, nil
}

func (s state) format() ([]byte, error) {
	data, err := json.Marshal(s)
	return append(data, '\n'), err
}

// holder is the one who has the lease, in words.
func (s state) holder() string {
	if s.Owner == "" {
		return "someone whose lease cannot be read"
	}
	return fmt.Sprintf("process %d on %s since %s", s.PID, s.Host, s.Since.Format(time.RFC3339))
}

func path(dir string, token int64) string {
	return filepath.Join(dir, prefix+strconv.FormatInt(token, 10))
}

// tokenOf reads a name in the folder: that of a lease's file, or of one beside it.
func tokenOf(name string) (token int64, beside, ok bool) {
	rest, ok := strings.CutPrefix(name, prefix)
	if !ok {
		return 0, false, false
	}
	number, suffix, _ := strings.Cut(rest, ".")
	token, err := strconv.ParseInt(number, 10, 64)
	if err != nil || token <= 0 || strconv.FormatInt(token, 10) != number {
		return 0, false, false
	}
	beside = rest != number
	return token, beside, !beside || "."+suffix == aliveSuffix || "."+suffix == asideSuffix
}

// highest is the token of the folder's lease, 0 if there is none.
func highest(dir string) (int64, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, err
	}
	top := int64(0)
	for _, e := range entries {
		if token, beside, ok := tokenOf(e.Name()); ok && !beside {
			top = max(top, token)
		}
	}
	return top, nil
}

// sight is what there is to be seen of the folder's lease.
type sight struct {
	token int64  // 0: there is none
	raw   []byte // changes with each renewal
	state state  // zero but for the token where the file makes no sense
}

func (s sight) same(as sight) bool { return s.token == as.token && bytes.Equal(s.raw, as.raw) }

// look reads the folder's lease. It needs no lock, since files appear whole; a
// claim that is not yet written makes no sense for a moment.
func look(dir string) (sight, error) {
	for attempt := 0; ; attempt++ {
		token, err := highest(dir)
		if err != nil || token == 0 {
			return sight{}, err
		}
		raw, err := read(path(dir, token))
		// Swept meanwhile, so there is a higher one; or replaced, on NFS.
		if moved := errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESTALE); moved && attempt < 100 {
			continue
		}
		if err != nil {
			return sight{}, err
		}
		s, err := parse(raw)
		if err != nil || s.Token != token {
			s = state{Token: token}
		}
		return sight{token, raw, s}, nil
	}
}

func read(name string) (data []byte, err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return io.ReadAll(io.LimitReader(f, maxFile+1))
}

// errTaken says that another has claimed a token.
var errTaken = errors.New("another has claimed it")

// create makes the file of a lease that nobody has claimed before, whole or not at
// all unless the system ends; errTaken where somebody has.
func create(dir string, s state) error {
	data, err := s.format()
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path(dir, s.Token), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return errTaken
	}
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// replace puts a new state in the place of the one before. It is not stored on
// the disk at once: a lease need not outlast the system that it was taken on.
func replace(dir string, s state) error {
	data, err := s.format()
	if err != nil {
		return err
	}
	name := path(dir, s.Token)
	if err := os.WriteFile(name+asideSuffix, data, 0o644); err != nil {
		return err
	}
	return os.Rename(name+asideSuffix, name)
}

// sweep removes the files of leases below a token.
func sweep(dir string, token int64) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if t, _, ok := tokenOf(e.Name()); ok && t < token {
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}
