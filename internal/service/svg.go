// SPDX-License-Identifier: Apache-2.0

package service

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"
)

const (
	svgSpace = "http://www.w3.org/2000/svg"
	xmlSpace = "http://www.w3.org/XML/1998/namespace" // of xml:lang and xml:space
)

// maxSVGDepth bounds how deep groups may stand in each other.
const maxSVGDepth = 32

// What an SVG may be made of. Nothing here runs, moves, or names anything outside the picture.
var (
	svgElements = wordSet(`svg g defs title desc path rect circle ellipse line polyline polygon
		linearGradient radialGradient stop clipPath`)
	svgAttributes = wordSet(`id version role aria-label aria-hidden focusable
		width height viewBox preserveAspectRatio x y x1 x2 y1 y2 cx cy r rx ry fx fy fr d points pathLength transform
		gradientUnits gradientTransform spreadMethod offset clipPathUnits`)
	// These may also stand in a style attribute.
	svgProperties = wordSet(`fill fill-opacity fill-rule stroke stroke-width stroke-opacity stroke-linecap stroke-linejoin
		stroke-miterlimit stroke-dasharray stroke-dashoffset opacity color display visibility overflow clip-path clip-rule
		stop-color stop-opacity vector-effect paint-order shape-rendering enable-background isolation`)
	svgFunctions = wordSet("rgb rgba hsl hsla matrix translate scale rotate skewX skewY")

	svgValue = regexp.MustCompile(`^[A-Za-z0-9#%.,;:()_+ -]*$`)
	svgCall  = regexp.MustCompile(`([A-Za-z0-9_-]*) *\(`)
	svgOwn   = regexp.MustCompile(`\burl\(#[A-Za-z0-9_.-]+\)`) // a gradient or clip path of the same picture
)

func wordSet(text string) map[string]bool {
	set := map[string]bool{}
	for _, w := range strings.Fields(text) {
		set[w] = true
	}
	return set
}

// cleanSVG reads an SVG and writes it anew: only elements and attributes that are known to be plain, no comments, no
// declarations, no namespaces. What isn't known is refused.
func cleanSVG(data []byte) ([]byte, error) {
	var (
		out   bytes.Buffer
		open  []string
		ended bool
	)
	d := xml.NewDecoder(bytes.NewReader(data))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			if !ended {
				return nil, errNoPicture
			}
			return out.Bytes(), nil
		}
		if err != nil {
			return nil, badLogo("This is no PNG, and as an SVG it can't be read: it isn't well-formed XML in UTF-8.")
		}
		switch t := token.(type) {
		case xml.StartElement:
			if ended || len(open) == 0 && t.Name.Local != "svg" || len(open) > 0 && t.Name.Local == "svg" {
				return nil, badLogo("An SVG has one element svg, around everything else.")
			}
			if len(open) == maxSVGDepth {
				return nil, badLogo("The SVG's groups stand more than %d deep in each other.", maxSVGDepth)
			}
			if err := writeElement(&out, t, len(open) == 0); err != nil {
				return nil, err
			}
			open = append(open, t.Name.Local)
		case xml.EndElement:
			out.WriteString("</" + t.Name.Local + ">")
			open = open[:len(open)-1]
			ended = len(open) == 0
		case xml.CharData:
			if err := writeText(&out, t, open); err != nil {
				return nil, err
			}
		case xml.ProcInst:
			if t.Target != "xml" {
				return nil, badLogo("The SVG has a processing instruction, which a logo must not have.")
			}
		case xml.Directive:
			return nil, badLogo("The SVG has a DOCTYPE or the like, which a logo must not have.")
		case xml.Comment: // left out
		}
	}
}

var errNoPicture = badLogo("A logo is a PNG or an SVG; this is neither, or it is cut off.")

// writeText writes the text of a title or description; between shapes there is only white space, which is left out.
func writeText(out *bytes.Buffer, text []byte, open []string) error {
	if len(bytes.TrimSpace(text)) == 0 {
		return nil
	}
	if len(open) == 0 {
		return errNoPicture
	}
	if !slices.Contains([]string{"title", "desc"}, open[len(open)-1]) {
		return badLogo("The SVG has text outside its title, which a logo must not have. Turn text into paths.")
	}
	return xml.EscapeText(out, bytes.TrimSpace(text))
}

// shortName bounds what of a picture's own names is said back.
func shortName(name string) string {
	if len(name) > 40 {
		return strings.ToValidUTF8(name[:40], "") + "..."
	}
	return name
}

func writeElement(out *bytes.Buffer, t xml.StartElement, root bool) error {
	if t.Name.Space != svgSpace || !svgElements[t.Name.Local] {
		return badLogo("The SVG has an element %q, which a logo must not have: only plain shapes. Save it as plain SVG, with text as paths and without a style sheet.", shortName(t.Name.Local))
	}
	out.WriteString("<" + t.Name.Local)
	if root {
		out.WriteString(` xmlns="` + svgSpace + `"`)
	}
	attributes, err := plainAttributes(t.Attr)
	if err != nil {
		return err
	}
	for _, a := range attributes {
		out.WriteString(" " + a.Name.Local + `="`)
		if err := xml.EscapeText(out, []byte(a.Value)); err != nil {
			return err
		}
		out.WriteByte('"')
	}
	out.WriteByte('>')
	return nil
}

// plainAttributes refuses what might load, run or hide something. Declarations of a style attribute become attributes, as which
// they mean the same: the pages' Content-Security-Policy has no place for styles. They win, as they do in a browser.
func plainAttributes(given []xml.Attr) ([]xml.Attr, error) {
	var out, styles []xml.Attr
	for _, a := range given {
		name, value := a.Name.Local, strings.Join(strings.Fields(a.Value), " ")
		switch {
		case a.Name.Space == "xmlns", a.Name.Space == xmlSpace, a.Name.Space == "" && name == "xmlns":
			continue // nothing of another namespace is taken, so its name says nothing; language and white space don't matter
		case a.Name.Space == "" && name == "style":
			for declaration := range strings.SplitSeq(value, ";") {
				property, v, _ := strings.Cut(declaration, ":")
				if property = strings.TrimSpace(property); property == "" {
					continue
				}
				if !svgProperties[property] || !isPlain(v) {
					return nil, badLogo("The SVG has a style %q, which a logo must not have.", shortName(property))
				}
				styles = set(styles, property, strings.TrimSpace(v))
			}
			continue
		case a.Name.Space != "" || !svgAttributes[name] && !svgProperties[name]:
			return nil, badLogo("The SVG has an attribute %q, which a logo must not have.", shortName(name))
		case name != "aria-label" && !isPlain(value): // that one is said, never interpreted
			return nil, badLogo("The SVG's attribute %q has a value that a logo must not have: only numbers, colours, and url(#...) of its own gradients.", name)
		}
		out = set(out, name, value)
	}
	for _, a := range styles {
		out = set(out, a.Name.Local, a.Value)
	}
	return out, nil
}

// set gives an attribute a value; one that is there already has it changed.
func set(list []xml.Attr, name, value string) []xml.Attr {
	for i := range list {
		if list[i].Name.Local == name {
			list[i].Value = value
			return list
		}
	}
	return append(list, xml.Attr{Name: xml.Name{Local: name}, Value: value})
}

// isPlain tells whether a value has only numbers, words, colours, transforms and links into the same picture.
func isPlain(value string) bool {
	if !svgValue.MatchString(value) {
		return false
	}
	for _, call := range svgCall.FindAllStringSubmatch(svgOwn.ReplaceAllString(value, ""), -1) {
		if !svgFunctions[call[1]] {
			return false
		}
	}
	return true
}
