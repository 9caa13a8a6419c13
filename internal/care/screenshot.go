// SPDX-License-Identifier: Apache-2.0

package care

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"image/png"

	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/service"
)

// Bounds of a screenshot.
const (
	MaxScreenshot = 2 << 20    // bytes, as it comes and as it is stored
	maxPixels     = 20_000_000 // before it is decoded
	maxScans      = 64         // of a JPEG
	longestSide   = 1600       // of what is stored
	jpegQuality   = 85
)

// The types of a screenshot.
const (
	PNG  = "image/png"
	JPEG = "image/jpeg"
)

var (
	errNoScreenshot = fault.New(fault.Invalid, "invalid_screenshot", "This isn't a PNG or JPEG picture that can be read. Take the screenshot again.")
	errPictureLarge = fault.New(fault.TooLarge, "screenshot_too_large", fmt.Sprintf("A screenshot may have at most %d MB and %d million pixels.", MaxScreenshot>>20, maxPixels/1_000_000))
	errPictureGiven = fault.New(fault.Conflict, "screenshot_given", "This report has a screenshot already, or somebody has judged it. Make another report.")
)

// CheckScreenshot refuses what is no picture, or too large a one, by its first bytes: before anything is written of whoever sends it.
//
// Faults: TooLarge, Invalid.
func CheckScreenshot(raw []byte) error {
	if len(raw) > MaxScreenshot {
		return errPictureLarge
	}
	conf, kind, err := image.DecodeConfig(bytes.NewReader(raw))
	switch {
	case err != nil || kind != "png" && kind != "jpeg" || conf.Width <= 0 || conf.Height <= 0:
		return errNoScreenshot.WithCause(err)
	case int64(conf.Width)*int64(conf.Height) > maxPixels:
		return errPictureLarge
	}
	return nil
}

// clean reads a picture and writes it anew: only its pixels are left, no metadata (EXIF with place and time, comments, colour profiles) and
// nothing that was hidden behind it. Size and pixels are bounded before anything is decoded.
//
// Faults: TooLarge, Invalid.
func clean(raw []byte) ([]byte, string, error) {
	if len(raw) > MaxScreenshot {
		return nil, "", errPictureLarge
	}
	var decode func() (image.Image, error)
	var conf image.Config
	var err error
	kind := PNG
	switch {
	case bytes.HasPrefix(raw, []byte("\x89PNG\r\n\x1a\n")):
		conf, err = png.DecodeConfig(bytes.NewReader(raw))
		decode = func() (image.Image, error) { return png.Decode(bytes.NewReader(raw)) }
	case bytes.HasPrefix(raw, []byte("\xff\xd8\xff")):
		conf, err = jpeg.DecodeConfig(bytes.NewReader(raw))
		decode, kind = func() (image.Image, error) { return jpeg.Decode(bytes.NewReader(raw)) }, JPEG
	default:
		return nil, "", errNoScreenshot
	}
	switch {
	case err != nil || conf.Width <= 0 || conf.Height <= 0:
		return nil, "", errNoScreenshot.WithCause(err)
	case int64(conf.Width)*int64(conf.Height)*weight(raw, kind, conf) > maxPixels:
		return nil, "", errPictureLarge
	case kind == JPEG && bytes.Count(raw, []byte{0xff, 0xda}) > maxScans: // each marker goes over the whole picture again
		return nil, "", errNoScreenshot
	}
	img, err := decode()
	if err != nil {
		return nil, "", errNoScreenshot.WithCause(err)
	}
	return encode(shrink(img), kind)
}

// weight is how many times as much memory a pixel takes as one of eight bits: twice with sixteen, and thrice in a progressive JPEG (its marker is ff c2),
// whose coefficients are all kept until the end.
func weight(raw []byte, kind string, conf image.Config) int64 {
	switch conf.ColorModel {
	case color.RGBA64Model, color.NRGBA64Model, color.Gray16Model:
		return 2
	}
	if kind == JPEG && bytes.Contains(raw, []byte{0xff, 0xc2}) {
		return 3
	}
	return 1
}

func encode(img image.Image, kind string) ([]byte, string, error) {
	var out bytes.Buffer
	if kind == PNG {
		if err := png.Encode(&out, img); err != nil {
			return nil, "", fault.As(fmt.Errorf("encode a screenshot: %w", err))
		}
		if out.Len() <= MaxScreenshot {
			return out.Bytes(), PNG, nil
		}
		out.Reset()
	}
	// Where a PNG is too large, it is a photograph or noise, and JPEG is the better form.
	for quality := jpegQuality; ; quality /= 2 {
		out.Reset()
		if err := jpeg.Encode(&out, img, &jpeg.Options{Quality: quality}); err != nil {
			return nil, "", fault.As(fmt.Errorf("encode a screenshot: %w", err))
		}
		if out.Len() <= MaxScreenshot {
			return out.Bytes(), JPEG, nil
		}
		if quality < 10 {
			return nil, "", errPictureLarge
		}
	}
}

// shrink makes the longest side at most longestSide: each pixel is the mean of those that it stands for. Transparent parts become white.
func shrink(img image.Image) *image.RGBA {
	from := img.Bounds()
	src := image.NewRGBA(image.Rect(0, 0, from.Dx(), from.Dy()))
	draw.Draw(src, src.Bounds(), image.White, image.Point{}, draw.Src)
	draw.Draw(src, src.Bounds(), img, from.Min, draw.Over)
	w, h := src.Rect.Dx(), src.Rect.Dy()
	longest := max(w, h)
	if longest <= longestSide {
		return src
	}
	dw, dh := max(1, w*longestSide/longest), max(1, h*longestSide/longest)
	dst := image.NewRGBA(image.Rect(0, 0, dw, dh))
	for y := range dh {
		y0, y1 := y*h/dh, max((y+1)*h/dh, y*h/dh+1)
		for x := range dw {
			x0, x1 := x*w/dw, max((x+1)*w/dw, x*w/dw+1)
			var sum [4]int
			for sy := y0; sy < y1; sy++ {
				line := src.Pix[sy*src.Stride+4*x0 : sy*src.Stride+4*x1]
				for i, v := range line {
					sum[i%4] += int(v)
				}
			}
			n := (y1 - y0) * (x1 - x0)
			at := y*dst.Stride + 4*x
			for i := range sum {
				dst.Pix[at+i] = uint8(sum[i] / n) //nolint:gosec // the mean of bytes is one
			}
		}
	}
	return dst
}

type pictureBody struct {
	Type    string `cbor:"1,keyasint"`
	Content []byte `cbor:"2,keyasint"`
}

func pictureKey(svc *service.Service, id ledger.ID) ledger.Key {
	return keyOf(ledger.KindReport, svc, derived(svc, "screenshot", id[:]))
}

// AddScreenshot adds the one screenshot of a report: PNG or JPEG of at most 2 MB and 20 million pixels. It is written anew without metadata,
// at most 1600 pixels long. A report of an account takes it from that account only (owner; zero: an application's key).
//
// Faults: TooLarge, Invalid, NotFound, Conflict (screenshot_given), Unavailable.
func (c *Care) AddScreenshot(ctx context.Context, svc *service.Service, id, owner ledger.ID, raw []byte) (*Report, error) {
	b, err := c.findReport(ctx, svc, id) // before the work of decoding
	switch {
	case err != nil:
		return nil, err
	case !owner.IsZero() && b.Account != owner:
		return nil, errNoReport
	case b.Screenshot != "" || b.Status != Received:
		return nil, errPictureGiven
	}
	content, kind, err := c.cleanOne(ctx, raw)
	if err != nil {
		return nil, err
	}
	key := pictureKey(svc, id)
	return c.changeReport(ctx, svc, id, []ledger.Key{key}, func(tx *ledger.Tx, b *reportBody, at int64) error {
		if b.Screenshot != "" || b.Status != Received {
			return errPictureGiven
		}
		b.Screenshot = kind
		tx.Put(key, seal(svc, key, &pictureBody{kind, content}, at, true))
		return nil
	})
}

// cleanOne is clean, one at a time, so that pictures take a bounded memory.
func (c *Care) cleanOne(ctx context.Context, raw []byte) ([]byte, string, error) {
	select {
	case c.decoding <- struct{}{}:
	case <-ctx.Done():
		return nil, "", fault.As(ctx.Err())
	}
	defer func() { <-c.decoding }()
	return clean(raw)
}

// Screenshot returns a report's screenshot and its type, for support.
//
// Faults: NotFound, Unavailable.
func (c *Care) Screenshot(ctx context.Context, svc *service.Service, id ledger.ID) ([]byte, string, error) {
	if _, err := c.findReport(ctx, svc, id); err != nil {
		return nil, "", err
	}
	key := pictureKey(svc, id)
	v, err := c.Ledger.Read(ctx, key)
	if err != nil {
		return nil, "", err
	}
	p := new(pictureBody)
	if there, err := open(svc, key, v, p); err != nil || !there {
		return nil, "", orMissing(err, errNoPicture)
	}
	return p.Content, p.Type, nil
}

// RemoveScreenshot removes a report's screenshot: one that shows what must not be kept.
//
// Faults: NotFound, Unavailable.
func (c *Care) RemoveScreenshot(ctx context.Context, svc *service.Service, id ledger.ID) error {
	key := pictureKey(svc, id)
	_, err := c.changeReport(ctx, svc, id, []ledger.Key{key}, func(tx *ledger.Tx, b *reportBody, _ int64) error {
		if b.Screenshot == "" {
			return errNoPicture
		}
		b.Screenshot = ""
		tx.Put(key, &Row{}) // empty: the sweep takes it
		return nil
	})
	return err
}
