package runners

import (
	"regexp"
	"strings"
)

// JobError is the failure of a job.
type JobError struct {
	// Cause is what the failing function returned, as far as it can be told
	// apart from the runner's account of where it ran.
	Cause string
	full  error
}

func (e *JobError) Error() string { return e.Cause }

// Unwrap returns the runner's whole account.
func (e *JobError) Unwrap() error { return e.full }

var (
	// A DoFn's error stands last, after the plan it was part of.
	failedDoFn = regexp.MustCompile(`(?s).*DoFn\[[^\]]*Name: ([^\]]+)\] failed:\n(.*)$`)
	// A panic's value stands before its stack.
	paniced = regexp.MustCompile(`(?s)panic: (.*?)(?:\nFull error:| goroutine \d+ \[|$)`)
)

// cause finds what a function of ours said in the account of a failed job, which
// holds the plan of the stage and, for a panic, the stack several times over.
func cause(account string) string {
	if m := paniced.FindStringSubmatch(account); m != nil {
		return "panic: " + strings.TrimSpace(m[1])
	}
	if m := failedDoFn.FindStringSubmatch(account); m != nil {
		return strings.TrimSpace(m[2])
	}
	return strings.TrimSpace(account)
}
