// SPDX-License-Identifier: Apache-2.0

package web

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/locale"
)

// Bounds of a folder with help texts.
const (
	maxHelpServices = 200
	maxHelpFiles    = 500 // of a service
	maxHelpTitle    = 120 // characters
)

var helpName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,58}[a-z0-9])?$`)

func errHelp(where string, err error) error {
	return fault.New(fault.Invalid, "invalid_help", fmt.Sprintf("help-folder: %s %v. Nothing was started.", where, err)).WithField("help-folder")
}

// readHelpFolder reads SERVICE/TOPIC.LANGUAGE.md, by service, topic and language. Names that begin with a dot are passed over; any other that
// isn't such a file is an error that names it. Nothing outside the folder is read, whatever links there are.
//
// Faults: Invalid.
func readHelpFolder(folder string) (map[string]map[string]map[string]*helpText, error) {
	if folder == "" {
		return nil, nil
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, errHelp(folder, errors.New("can't be read as a folder"))
	}
	defer root.Close()
	services, err := names(root.FS(), ".", maxHelpServices)
	if err != nil {
		return nil, errHelp(folder, err)
	}
	all := map[string]map[string]map[string]*helpText{}
	for _, slug := range services {
		if !helpName.MatchString(slug) {
			return nil, errHelp(slug, errors.New("is no service's name; folders here are named after the services that their texts are for"))
		}
		files, err := names(root.FS(), slug, maxHelpFiles)
		if err != nil {
			return nil, errHelp(slug, err)
		}
		all[slug] = map[string]map[string]*helpText{}
		for _, name := range files {
			topic, tag, ok := strings.Cut(strings.TrimSuffix(name, ".md"), ".")
			if !ok || !strings.HasSuffix(name, ".md") || !helpName.MatchString(topic) || !slices.ContainsFunc(locale.All(), func(l locale.Locale) bool { return l.Tag == tag }) {
				return nil, errHelp(slug+"/"+name, errors.New("isn't named TOPIC.LANGUAGE.md, such as turn-it-off.en.md; a topic has small letters, digits and dashes, a language is one of "+tags()))
			}
			text, err := readHelpFile(root.FS(), slug+"/"+name)
			if err != nil {
				return nil, errHelp(slug+"/"+name, err)
			}
			if all[slug][topic] == nil {
				all[slug][topic] = map[string]*helpText{}
			}
			all[slug][topic][tag] = text
		}
	}
	return all, nil
}

func tags() string {
	var tags []string
	for _, l := range locale.All() {
		tags = append(tags, l.Tag)
	}
	return strings.Join(tags, ", ")
}

// names are those in a folder, without what begins with a dot.
func names(in fs.FS, folder string, most int) ([]string, error) {
	entries, err := fs.ReadDir(in, folder)
	if err != nil {
		return nil, errors.New("can't be read as a folder")
	}
	var all []string
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") {
			all = append(all, e.Name())
		}
	}
	if len(all) > most {
		return nil, fmt.Errorf("has %d entries, more than %d", len(all), most)
	}
	return all, nil
}

func readHelpFile(in fs.FS, path string) (*helpText, error) {
	info, err := fs.Stat(in, path)
	switch {
	case err != nil:
		return nil, errors.New("can't be read")
	case !info.Mode().IsRegular(): // a pipe would never end
		return nil, errors.New("is no file")
	case info.Size() > maxText:
		return nil, fmt.Errorf("has %d bytes, more than %d", info.Size(), maxText)
	}
	content, err := fs.ReadFile(in, path)
	if err != nil {
		return nil, errors.New("can't be read")
	}
	text, err := readTopic(string(content))
	if err != nil {
		return nil, err
	}
	// A link alone at the end, to a page of ours, is what the reader can do: it becomes the button.
	if last := text.blocks[len(text.blocks)-1]; last.Kind == paragraph && len(last.Items[0]) == 1 && ours(last.Items[0][0].Link) {
		text.action = &helpLink{last.Items[0][0].Link, last.Items[0][0].Text}
		text.blocks = text.blocks[:len(text.blocks)-1]
	}
	return text, nil
}

// readTopic reads a text that begins with its title. Headings go down one level at a time, as screen readers tell them.
func readTopic(content string) (*helpText, error) {
	blocks, err := readMarkdown(content)
	if err != nil {
		return nil, err
	}
	if len(blocks) < 2 || blocks[0].Kind != heading1 {
		return nil, errors.New("has to begin with its title, as in: # Can I turn it off?, with a text below it")
	}
	title := blocks[0].Items[0].words()
	if n := utf8.RuneCountInString(title); n == 0 || n > maxHelpTitle {
		return nil, fmt.Errorf("has a title of %d characters; it may have 1 to %d", n, maxHelpTitle)
	}
	level := heading1
	for i, b := range blocks {
		switch {
		case b.Kind == heading1 && i > 0:
			return nil, errors.New("has two titles; use ## for the headings below")
		case b.Kind == heading3 && level == heading1:
			return nil, errors.New("has ### where no ## came before")
		case b.Kind == heading2:
			level = heading2
		}
		for _, item := range b.Items {
			for _, place := range factForm.FindAllStringSubmatch(item.words(), -1) {
				if !slices.Contains(helpFacts, place[1]) {
					return nil, fmt.Errorf("has {%s}, which stands for nothing; there are {%s}", place[1], strings.Join(helpFacts, "}, {"))
				}
			}
		}
	}
	return &helpText{title: title, blocks: blocks[1:]}, nil
}
