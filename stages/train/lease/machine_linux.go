package lease

import (
	"fmt"
	"os"
	"strings"
	"syscall"
)

// machine names the running kernel and the mounted file system of a folder: where
// both are the same, so are the locks. Two machines may have the same host name,
// and a file system that is mounted twice may keep locks apart.
func machine(dir string) string {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	info, err := os.Stat(dir)
	if err != nil {
		return ""
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	return fmt.Sprintf("%s/%x", strings.TrimSpace(string(boot)), stat.Dev)
}
