// Package blipflow is empty: the program is the commands below pipelines, and
// README.md says how to use them. Here stand the tests of what belongs to no
// single package: that the packages know only those they may know
// (ARCHITECTURE.md), and that go.mod names what was published.
package blipflow
