package spice

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/blipflow/blipflow/model/setup/internal/bundle"
	"github.com/blipflow/blipflow/model/setup/internal/progress"
)

// What has to be installed. The messages say how.
var (
	ErrNoJava  = errors.New("java was not found, and SPICE runs in it: install it (Debian, Ubuntu: apt install default-jre-headless; Fedora: dnf install java-latest-openjdk-headless; macOS: brew install openjdk), or set JAVA_HOME")
	ErrNoMaven = errors.New("mvn was not found, which fetches SPICE's jars: install Maven (Debian, Ubuntu: apt install maven; Fedora: dnf install maven; macOS: brew install maven)")
)

// artifact is one jar of Maven's repository, pinned by its hash.
type artifact struct {
	group, name, version, classifier string
	sha256                           string
	size                             int64
}

// file is the name that mvn gives the jar.
func (a artifact) file() string {
	name := a.name + "-" + a.version
	if a.classifier != "" {
		name += "-" + a.classifier
	}
	return name + ".jar"
}

var artifacts = []artifact{
	{"edu.stanford.nlp", "stanford-corenlp", "3.6.0", "", "d341d5863276f55782c5ef73212222d6b3b48e02ae1951ab6de7618d28b12742", 7270741},
	{"edu.stanford.nlp", "stanford-corenlp", "3.6.0", "models", "d285157bd7887ee3018094b5dbae092e49088b023361ccdb550ee1daf9b2c9bd", 378116526},
	{"org.openjdk.nashorn", "nashorn-core", "15.4", "", "6f816e84dfd63a81d4eaa7829c08337bbaff3ec683ff3bf6bbd90d017a00dc6f", 2167292},
	{"org.ow2.asm", "asm", "7.3.1", "", "2f67e11ceec819ebd88ddee5300aba699b1cbab2e20c22e97cf027d3be93959b", 121836},
	{"org.ow2.asm", "asm-analysis", "7.3.1", "", "46b8a8efd4b94facb5ab4b35afe30ee0546ae7a43d2c64e6def56c2f168fefa5", 33446},
	{"org.ow2.asm", "asm-commons", "7.3.1", "", "87cd8bb3c6bf6bcbb33fca48060c5065f66ebf6a3d7de9bf18bff51bcf156ebc", 71548},
	{"org.ow2.asm", "asm-tree", "7.3.1", "", "f91a4a8aa868c5c4665bb4fd134019a91f9f8b9216527fba295e3c8b5422b78b", 52826},
	{"org.ow2.asm", "asm-util", "7.3.1", "", "182128592742ed4883ac82bf205f137b6bfbe1234c68e6feb13759e75a85b729", 84817},
}

// copyGoal copies artifacts without what they depend on. It is pinned for the
// names that it gives the files.
const copyGoal = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy"

// jarsFolder is where mvn puts the jars, in its working folder.
const jarsFolder = "jars"

func findTools() error {
	if _, err := exec.LookPath("java"); err != nil {
		if _, err := exec.LookPath(filepath.Join(os.Getenv("JAVA_HOME"), "bin", "java")); err != nil {
			return ErrNoJava
		}
	}
	if _, err := exec.LookPath("mvn"); err != nil {
		return ErrNoMaven
	}
	return nil
}

// copyArtifacts has mvn put the artifacts into the jars folder of work, and
// checks them. Those that are there and whole are not asked for again.
func copyArtifacts(ctx context.Context, work string, all []artifact, p progress.Printer) error {
	var missing []artifact
	var size int64
	for _, a := range all {
		if sum, err := bundle.HashFile(filepath.Join(work, jarsFolder, a.file())); err != nil || sum != a.sha256 {
			missing = append(missing, a)
			size += a.size
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if err := os.WriteFile(filepath.Join(work, "pom.xml"), pom(missing), 0o666); err != nil {
		return fmt.Errorf("write mvn's project: %w", err)
	}
	title := fmt.Sprintf("fetching SPICE's jars with mvn, %d MB, once", (size+999_999)/1e6)
	status := func() string { return progress.Arrived(filepath.Join(work, repository), size) }
	if err := p.While(title, status, func() error { return maven(ctx, work) }); err != nil {
		return err
	}
	for _, a := range missing {
		if err := a.check(work); err != nil {
			return err
		}
	}
	return nil
}

// check deletes everything that mvn fetched where the artifact is not the pinned
// one: mvn would copy it again.
func (a artifact) check(work string) error {
	sum, err := bundle.HashFile(filepath.Join(work, jarsFolder, a.file()))
	if err != nil {
		return fmt.Errorf("mvn did not leave %s: %w", a.file(), err)
	}
	if sum == a.sha256 {
		return nil
	}
	if err := os.RemoveAll(work); err != nil {
		return err
	}
	return fmt.Errorf("the %s that mvn fetched has SHA-256 %s, not the pinned %s: it was damaged on its way or the repository is not to be trusted; try again", a.file(), sum, a.sha256)
}

// pom is a project that has nothing but the configuration of copyGoal.
func pom(all []artifact) []byte {
	var b bytes.Buffer
	b.WriteString("<project>\n<modelVersion>4.0.0</modelVersion>\n<groupId>blipflow</groupId>\n<artifactId>spice</artifactId>\n<version>1</version>\n<packaging>pom</packaging>\n")
	b.WriteString("<build><plugins><plugin>\n<groupId>org.apache.maven.plugins</groupId>\n<artifactId>maven-dependency-plugin</artifactId>\n")
	fmt.Fprintf(&b, "<configuration>\n<outputDirectory>${project.basedir}/%s</outputDirectory>\n<artifactItems>\n", jarsFolder)
	for _, a := range all {
		fmt.Fprintf(&b, "<artifactItem><groupId>%s</groupId><artifactId>%s</artifactId><version>%s</version>", a.group, a.name, a.version)
		if a.classifier != "" {
			fmt.Fprintf(&b, "<classifier>%s</classifier>", a.classifier)
		}
		b.WriteString("</artifactItem>\n")
	}
	b.WriteString("</artifactItems>\n</configuration>\n</plugin></plugins></build>\n</project>\n")
	return b.Bytes()
}

// repository is mvn's own copy of what it fetches, in its working folder.
const repository = "repository"

func maven(ctx context.Context, work string) error {
	var output bytes.Buffer
	mvn := exec.CommandContext(ctx, "mvn", "-q", "-B", "-Dstyle.color=never", "-f", filepath.Join(work, "pom.xml"),
		"-Dmaven.repo.local="+filepath.Join(work, repository), copyGoal)
	mvn.Stdout, mvn.Stderr = &output, &output
	mvn.WaitDelay = time.Second
	if err := mvn.Run(); err != nil {
		return explain(output.String(), err)
	}
	return nil
}

// reasons are words in mvn's errors and what they mean to the user.
var reasons = []struct{ word, means string }{
	{"No space left", "the disk is full: make room, or set XDG_CACHE_HOME to a folder on another disk"},
	{"UnknownHost", unreached},
	{"Unknown host", unreached},
	{"Name or service not known", unreached},
	{"Temporary failure in name resolution", unreached},
	{"Connection refused", unreached},
	{"Network is unreachable", unreached},
	{"timed out", unreached},
	{"JAVA_HOME", "it finds no Java: set JAVA_HOME to Java's folder, or unset it"},
}

const unreached = "Maven's repository was not reached: connect to the network, or name a mirror in Maven's settings.xml"

// explain turns mvn's failure into a sentence.
func explain(output string, err error) error {
	for _, reason := range reasons {
		if strings.Contains(output, reason.word) {
			return fmt.Errorf("fetch SPICE's jars with mvn: %s", reason.means)
		}
	}
	for line := range strings.Lines(output) {
		if text, found := strings.CutPrefix(line, "[ERROR] "); found {
			return fmt.Errorf("fetch SPICE's jars with mvn: %s", strings.TrimSpace(text))
		}
	}
	return fmt.Errorf("fetch SPICE's jars with mvn: %w", err)
}
