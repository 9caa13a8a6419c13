// SPDX-License-Identifier: Apache-2.0

package service_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/service"
)

// ratio is the contrast of two colours, as WCAG 2.2 writes it down.
func ratio(t interface{ Fatal(...any) }, a, b string) float64 {
	light := func(color string) float64 {
		var r, g, b int
		if _, err := fmt.Sscanf(color, "#%02x%02x%02x", &r, &g, &b); err != nil {
			t.Fatal(err)
		}
		sum := 0.0
		for i, c := range []int{r, g, b} {
			v := float64(c) / 255
			if v <= 0.04045 {
				v /= 12.92
			} else {
				v = math.Pow((v+0.055)/1.055, 2.4)
			}
			sum += v * []float64{0.2126, 0.7152, 0.0722}[i]
		}
		return sum
	}
	x, y := light(a), light(b)
	return (math.Max(x, y) + 0.05) / (math.Min(x, y) + 0.05)
}

func TestTheDefaultBrand(t *testing.T) {
	t.Parallel()
	var b service.Brand
	if err := b.Validate(); err != nil {
		t.Fatal(err)
	}
	light, dark := b.Accents()
	if light != "#0b5f73" || dark != "#6cc3d8" {
		t.Fatalf("the default accents: %s and %s", light, dark)
	}
	b.AccentLight, b.AccentDark = light, dark
	if err := b.Validate(); err != nil {
		t.Fatalf("the defaults would not be taken: %v", err)
	}
}

// Whatever accent is taken can be read: on its page, and under the text of a button.
func TestAccentsCanBeRead(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		color := fmt.Sprintf("#%06x", rapid.IntRange(0, 0xffffff).Draw(t, "color"))
		for page, b := range map[string]service.Brand{service.PageLight: {AccentLight: color}, service.PageDark: {AccentDark: color}} {
			err := b.Validate()
			if good := ratio(t, color, page) >= 4.5; good != (err == nil) {
				t.Fatalf("%s on %s has %.3f to 1: %v", color, page, ratio(t, color, page), err)
			}
			if err == nil && ratio(t, color, service.TextOn(color)) < 4.5 {
				t.Fatalf("%s under %s", color, service.TextOn(color))
			}
		}
		if other := ratio(t, color, service.PageLight); service.TextOn(color) == service.PageDark && other > ratio(t, color, service.PageDark)+1e-9 {
			t.Fatalf("white reads better on %s", color)
		}
	})
}

// What is wrong is named by its path, and of a contrast both figures are told.
func TestBrandsThatAreRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		brand service.Brand
		field string
		words []string
	}{
		"pale":            {service.Brand{AccentLight: "#777777"}, "accent_light", []string{"4.47 to 1", "4.5 to 1", "#ffffff"}},
		"dark on dark":    {service.Brand{AccentDark: "#0b5f73"}, "accent_dark", []string{"to 1", "4.5 to 1", "#14191c"}},
		"a name":          {service.Brand{AccentLight: "teal"}, "accent_light", nil},
		"short":           {service.Brand{AccentLight: "#123"}, "accent_light", nil},
		"long":            {service.Brand{AccentDark: "#12345678"}, "accent_dark", nil},
		"no address":      {service.Brand{SupportEmail: "acme.example"}, "support_email", nil},
		"a named address": {service.Brand{SupportEmail: "Help <help@acme.example>"}, "support_email", nil},
		"more in a mail":  {service.Brand{SupportEmail: "help@acme.example?subject=x"}, "support_email", nil},
		"spaces":          {service.Brand{SupportEmail: " help@acme.example"}, "support_email", nil},
		"no country":      {service.Brand{SupportPhone: "415 555 0100"}, "support_phone", nil},
		"few digits":      {service.Brand{SupportPhone: "+1 (((((((("}, "support_phone", nil},
		"many digits":     {service.Brand{SupportPhone: "+1234567890123456"}, "support_phone", nil},
		"a pause":         {service.Brand{SupportPhone: "+14155550100,,1"}, "support_phone", nil},
		"in clear":        {service.Brand{SupportURL: "http://acme.example/"}, "support_url", nil},
		"a script":        {service.Brand{SupportURL: "javascript:alert(1)"}, "support_url", nil},
		"a user":          {service.Brand{SupportURL: "https://bank.example@acme.example/"}, "support_url", nil},
		"a quote":         {service.Brand{SupportURL: `https://acme.example/"x`}, "support_url", nil},
		"no host":         {service.Brand{SupportURL: "https:///help"}, "support_url", nil},
		"an address":      {service.Brand{SupportURL: "https://10.0.0.1/"}, "support_url", nil},
		"look-alikes":     {service.Brand{SupportURL: "https://аcme.example/"}, "support_url", nil},
		"too long":        {service.Brand{SupportURL: "https://acme.example/" + strings.Repeat("x", 200)}, "support_url", nil},
	} {
		var f *fault.Error
		if err := c.brand.Validate(); !errors.As(err, &f) || f.Kind != fault.Invalid || f.Field != "brand."+c.field {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, w := range c.words {
			if !strings.Contains(f.Message, w) {
				t.Errorf("%s: %q doesn't say %s", name, f.Message, w)
			}
		}
	}
	good := service.Brand{
		AccentLight: "#0B5F73", AccentDark: "#6cc3d8", SupportEmail: "help@acme.example",
		SupportPhone: "+1 (415) 555-0100", SupportURL: "https://acme.example/help?topic=codes",
	}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	both := service.Brand{AccentLight: "#fff", SupportURL: "x"}
	var f *fault.Error
	if err := both.Validate(); !errors.As(err, &f) || len(f.Problems) != 2 {
		t.Errorf("not every problem is told: %v", err)
	}
}

func picture(t testing.TB, width, height int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewPaletted(image.Rect(0, 0, width, height), color.Palette{color.Black})); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestPicturesAsLogos(t *testing.T) {
	t.Parallel()
	good := picture(t, 1024, 64)
	l, err := service.ParseLogo(good)
	if err != nil || l.Type() != service.PNG || !bytes.Equal(l.Bytes(), good) {
		t.Fatalf("%s, %v", l.Type(), err)
	}
	for name, data := range map[string][]byte{
		"wide": picture(t, 1025, 1), "high": picture(t, 1, 1025), "cut off": good[:20], "empty": nil, "JPEG": []byte("\xff\xd8\xff\xe0"), "text": []byte("hello"),
	} {
		var f *fault.Error
		if l, err := service.ParseLogo(data); !errors.As(err, &f) || f.Field != "logo" || l.Type() != "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := service.ParseLogo(append(good, make([]byte, 64<<10)...)); fault.As(err).Kind != fault.TooLarge {
		t.Errorf("too large: %v", err)
	}
	if l := service.LogoFrom(good); l.Type() != service.PNG {
		t.Error("as stored: ", l.Type())
	}
}

const drawing = `<?xml version="1.0" encoding="UTF-8"?>
<!-- made by hand -->
<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 24 24" xml:space="preserve">
  <title>Acme &amp; Co</title>
  <defs><linearGradient id="g"><stop offset="0" stop-color="#0b5f73"/><stop offset="1" style="stop-color: rgb(1, 2, 3)"/></linearGradient></defs>
  <g transform="translate(1 2) rotate(45)" fill="red" style="fill:url(#g);stroke:#fff"><path d="M0 0
    L1,1z"/></g>
</svg>`

// An SVG is written anew: its styles as attributes, its comments and names of other languages gone.
func TestDrawingsAsLogos(t *testing.T) {
	t.Parallel()
	l, err := service.ParseLogo([]byte(drawing))
	if err != nil {
		t.Fatal(err)
	}
	const want = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24"><title>Acme &amp; Co</title>` +
		`<defs><linearGradient id="g"><stop offset="0" stop-color="#0b5f73"></stop><stop offset="1" stop-color="rgb(1, 2, 3)"></stop></linearGradient></defs>` +
		`<g transform="translate(1 2) rotate(45)" fill="url(#g)" stroke="#fff"><path d="M0 0 L1,1z"></path></g></svg>`
	if l.Type() != service.SVG || string(l.Bytes()) != want {
		t.Fatalf("%s:\n%s", l.Type(), l.Bytes())
	}
	if stored := service.LogoFrom(l.Bytes()); stored.Type() != service.SVG {
		t.Error("as stored: ", stored.Type())
	}
	for name, inside := range map[string]string{
		"a script":            `<script>alert(1)</script>`,
		"an event":            `<path d="M0 0" onload="alert(1)"/>`,
		"foreign content":     `<foreignObject><p xmlns="http://www.w3.org/1999/xhtml">x</p></foreignObject>`,
		"an image":            `<image href="https://evil.example/x.png"/>`,
		"a copy":              `<use href="#g"/>`,
		"a link":              `<a href="https://evil.example/"><path d="M0 0"/></a>`,
		"an old link":         `<path xmlns:xlink="http://www.w3.org/1999/xlink" xlink:href="https://evil.example/"/>`,
		"a style sheet":       `<style>@import "https://evil.example/x.css";</style>`,
		"an address":          `<path fill="url(https://evil.example/#x)"/>`,
		"one in a style":      `<path style="fill:url(//evil.example/x)"/>`,
		"one in quotes":       `<path style="fill:url('https://evil.example/x')"/>`,
		"one in escapes":      `<path style="fill:u\72l(//evil.example/x)"/>`,
		"one by another name": `<path fill="image-set(x)"/>`,
		"a strange style":     `<path style="behavior:url(#x)"/>`,
		"an import":           `<path style="@import 'x'"/>`,
		"an animation":        `<animate attributeName="x"/>`,
		"a set":               `<set attributeName="onload" to="alert(1)"/>`,
		"text":                `<text>123456</text>`,
		"loose text":          `123456`,
		"a class":             `<path class="x"/>`,
		"another language":    `<path xmlns="http://www.w3.org/1999/xhtml"/>`,
		"an element of one":   `<h:script xmlns:h="http://www.w3.org/1999/xhtml"/>`,
		"an instruction":      `<?php echo 1 ?>`,
		"an unknown entity":   `<title>&x;</title>`,
		"half a tag":          `<path`,
		"too deep":            strings.Repeat("<g>", 32) + strings.Repeat("</g>", 32),
		"one in another":      `<svg/>`,
	} {
		svg := `<svg xmlns="http://www.w3.org/2000/svg">` + inside + `</svg>`
		var f *fault.Error
		if l, err := service.ParseLogo([]byte(svg)); !errors.As(err, &f) || f.Code != "invalid_logo" {
			t.Errorf("%s: %v\n%s", name, err, l.Bytes())
		}
	}
	for name, svg := range map[string]string{
		"a DOCTYPE":        `<!DOCTYPE svg [<!ENTITY x "y">]><svg xmlns="http://www.w3.org/2000/svg"/>`,
		"two":              `<svg xmlns="http://www.w3.org/2000/svg"/><svg xmlns="http://www.w3.org/2000/svg"/>`,
		"no namespace":     `<svg/>`,
		"another root":     `<html xmlns="http://www.w3.org/2000/svg"/>`,
		"another encoding": `<?xml version="1.0" encoding="UTF-7"?><svg xmlns="http://www.w3.org/2000/svg"/>`,
		"text after it":    `<svg xmlns="http://www.w3.org/2000/svg"/>x`,
	} {
		if _, err := service.ParseLogo([]byte(svg)); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

// Whatever is taken holds plain shapes only, and is taken again as it is.
func FuzzLogo(f *testing.F) {
	f.Add([]byte(drawing))
	f.Add([]byte(`<svg xmlns="http://www.w3.org/2000/svg"><title>a<!-- --> b</title><path style="fill:url(#a);opacity:.5" aria-label="&#xA;x"/></svg>`))
	f.Add(picture(f, 2, 2))
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := service.ParseLogo(data)
		if err != nil {
			return
		}
		again, err := service.ParseLogo(l.Bytes())
		if err != nil || again.Type() != l.Type() || !bytes.Equal(again.Bytes(), l.Bytes()) {
			t.Fatalf("%v: %q becomes %q", err, l.Bytes(), again.Bytes())
		}
		if l.Type() != service.SVG {
			return
		}
		d := xml.NewDecoder(bytes.NewReader(l.Bytes()))
		for {
			token, err := d.Token()
			if errors.Is(err, io.EOF) {
				return
			}
			start, ok := token.(xml.StartElement)
			if err != nil || ok && strings.EqualFold(start.Name.Local, "script") {
				t.Fatalf("%v: %q", err, l.Bytes())
			}
			for _, a := range start.Attr {
				if low := strings.ToLower(a.Name.Local); strings.HasPrefix(low, "on") || strings.HasSuffix(low, "href") || low == "style" {
					t.Fatalf("%s in %q", low, l.Bytes())
				}
				if a.Name.Local != "xmlns" && a.Name.Local != "aria-label" && strings.ContainsAny(a.Value, `/\@&<"'`) {
					t.Fatalf("%q in %q", a.Value, l.Bytes())
				}
			}
		}
	})
}
