// SPDX-License-Identifier: Apache-2.0

package service

import (
	"bytes"
	"fmt"
	"image/png"

	"github.com/countersign/countersign/internal/fault"
)

// Logo is a service's picture, as ParseLogo took it. The zero value is none. It is never changed: a new logo is a new value.
type Logo struct {
	kind string
	data []byte
}

// Type is the media type, PNG or SVG; empty if there is no logo.
func (l Logo) Type() string { return l.kind }

// Bytes are the picture. They must not be changed.
func (l Logo) Bytes() []byte { return l.data }

// The media types of a logo.
const (
	PNG = "image/png"
	SVG = "image/svg+xml"
)

// Bounds of a logo.
const (
	maxLogo      = 64 << 10 // bytes
	maxLogoSide  = 1024     // pixels of a PNG
	logoField    = "logo"
	pngSignature = "\x89PNG\r\n\x1a\n"
)

func badLogo(format string, args ...any) *fault.Error {
	return fault.New(fault.Invalid, "invalid_logo", fmt.Sprintf(format, args...)).WithField(logoField)
}

var errBigLogo = fault.New(fault.TooLarge, "logo_too_large", fmt.Sprintf("The logo has more than %d KB, which is the limit. Make it smaller or simpler.", maxLogo>>10)).WithField(logoField)

// ParseLogo reads a picture. A PNG is kept as it is; an SVG is written anew with nothing but the plain shapes that were
// understood, so that what browsers see is what was checked. Anything else in it is refused, by name.
//
// Faults: Invalid (invalid_logo), TooLarge.
func ParseLogo(data []byte) (Logo, error) {
	switch {
	case len(data) == 0:
		return Logo{}, badLogo("The logo is empty. Send a PNG or an SVG.")
	case len(data) > maxLogo:
		return Logo{}, errBigLogo
	}
	if kindOf(data) == PNG {
		c, err := png.DecodeConfig(bytes.NewReader(data))
		if err != nil {
			return Logo{}, badLogo("This PNG can't be read. Save it again as PNG.")
		}
		if c.Width > maxLogoSide || c.Height > maxLogoSide {
			return Logo{}, badLogo("The logo has %d by %d pixels; it may have %d by %d.", c.Width, c.Height, maxLogoSide, maxLogoSide)
		}
		return Logo{PNG, bytes.Clone(data)}, nil
	}
	clean, err := cleanSVG(data)
	if err != nil {
		return Logo{}, err
	}
	if len(clean) > maxLogo {
		return Logo{}, errBigLogo
	}
	return Logo{SVG, clean}, nil
}

// LogoFrom is a logo as it was stored. It checks nothing, and keeps data.
func LogoFrom(data []byte) Logo {
	if len(data) == 0 {
		return Logo{}
	}
	return Logo{kindOf(data), data}
}

// kindOf tells by its beginning what a picture is.
func kindOf(data []byte) string {
	if bytes.HasPrefix(data, []byte(pngSignature)) {
		return PNG
	}
	return SVG
}
