// SPDX-License-Identifier: Apache-2.0

// Command promises compares what docs/promises.md promises with what tests say they keep, and prints
// each promise that no test keeps.
//
// A promise is a list item with a bold id, "- **A.1** text" or "- **S3** text"; one whose text begins
// with "(later)" may be unkept. A test keeps promises by a comment line "Keeps: A.1, S3" in a Go test file,
// or by the same line after "#" in a script under testdata. The command leaves to the tests whether
// they deserve the name.
//
// Usage: promises [folder]. It exits with 1 when a promise that is due is kept by no test, when a
// test names an unknown promise, or when an id stands twice in the list; with 2 when a file can't be read.
package main

import (
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

var (
	promiseLine = regexp.MustCompile(`(?m)^- \*\*([A-Z]\.?\d+)\*\* (.*)$`)
	keepsLine   = regexp.MustCompile(`(?m)^(?://|#)?[ \t]*Keeps:[ \t]*(.*)$`)
)

func main() {
	root := "."
	if len(os.Args) > 1 {
		root = os.Args[1]
	}
	problems, err := run(root, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "promises:", err)
		os.Exit(2)
	}
	if problems > 0 {
		os.Exit(1)
	}
}

// promise is one line of the list.
type promise struct {
	id    string
	text  string
	later bool
}

// mention is one "Keeps:" with the ids it names, and where it stands.
type mention struct {
	path string
	ids  []string
}

// run reports on the tree below root and returns the number of problems.
func run(root string, out io.Writer) (int, error) {
	list, err := os.ReadFile(filepath.Join(root, "docs", "promises.md"))
	if err != nil {
		return 0, err
	}
	promises := parsePromises(string(list))
	if len(promises) == 0 {
		return 0, errors.New("docs/promises.md holds no promise")
	}
	mentions, err := collect(root)
	if err != nil {
		return 0, err
	}
	return report(promises, mentions, out), nil
}

func parsePromises(list string) []promise {
	var promises []promise
	for _, match := range promiseLine.FindAllStringSubmatch(list, -1) {
		promises = append(promises, promise{
			id: match[1], text: match[2], later: strings.HasPrefix(match[2], "(later)"),
		})
	}
	return promises
}

// collect reads every test file and test script below root.
func collect(root string) ([]mention, error) {
	var mentions []mention
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if entry.Name() == ".git" || entry.Name() == "node_modules" {
				return filepath.SkipDir
			}
			return nil
		}
		comments, err := commentsOf(path)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		for _, comment := range comments {
			for _, match := range keepsLine.FindAllStringSubmatch(comment, -1) {
				mentions = append(mentions, mention{path: relative, ids: splitIDs(match[1])})
			}
		}
		return nil
	})
	return mentions, err
}

// commentsOf returns the texts of a file that may hold a "Keeps:", none for files that are no tests.
// Go files are parsed, so that a string constant that looks like a comment is none.
func commentsOf(path string) ([]string, error) {
	if strings.HasSuffix(path, "_test.go") {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		var texts []string
		for _, group := range file.Comments {
			texts = append(texts, group.Text())
		}
		return texts, nil
	}
	inTestdata := strings.Contains(filepath.ToSlash(path), "/testdata/")
	if extension := filepath.Ext(path); !inTestdata || extension != ".txt" && extension != ".txtar" {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	return []string{string(text)}, err
}

func splitIDs(list string) []string {
	var ids []string
	for id := range strings.SplitSeq(strings.TrimRight(strings.TrimSpace(list), "."), ",") {
		ids = append(ids, strings.TrimSpace(id))
	}
	return ids
}

// report prints what is wrong, then a line with figures, and returns how much is wrong.
func report(promises []promise, mentions []mention, out io.Writer) int {
	problems, kept, later := 0, 0, 0
	complain := func(format string, args ...any) {
		problems++
		fmt.Fprintf(out, format+"\n", args...) // a closed standard output can't be told to anybody
	}
	known, named := map[string]bool{}, map[string]bool{}
	for _, p := range promises {
		if known[p.id] {
			complain("docs/promises.md: %s stands twice", p.id)
		}
		known[p.id] = true
	}
	for _, m := range mentions {
		for _, id := range m.ids {
			if !known[id] {
				complain("%s: keeps %q, which docs/promises.md does not know", m.path, id)
			}
			named[id] = true
		}
	}
	for _, p := range promises {
		switch {
		case named[p.id]:
			kept++
		case p.later:
			later++
		default:
			complain("no test keeps %s: %s", p.id, p.text)
		}
	}
	fmt.Fprintf(out, "%d promises: %d kept by tests, %d due later, %d problems\n", // as above
		len(promises), kept, later, problems)
	return problems
}
