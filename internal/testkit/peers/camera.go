// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"rsc.io/qr"
)

// Camera is a camera that sees what a test shows it.
type Camera struct {
	tb   testing.TB
	file string
}

// NewCamera returns a camera that sees nothing yet, and what to add to the command line of [Browser], which then has it and asks nobody
// whether a page may use it.
func NewCamera(tb testing.TB) (*Camera, []string) {
	tb.Helper()
	c := &Camera{tb, filepath.Join(tb.TempDir(), "camera.y4m")}
	c.Shows("")
	return c, []string{"--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", "--use-file-for-fake-video-capture=" + c.file}
}

// Shows holds a QR code before the camera; "": nothing. A camera that is on goes on seeing what there was.
func (c *Camera) Shows(text string) {
	c.tb.Helper()
	const width, height, frames = 640, 480, 5
	light := bytes.Repeat([]byte{0xb0}, width*height)
	if text != "" {
		code, err := qr.Encode(text, qr.M)
		if err != nil {
			c.tb.Fatal(err)
		}
		scale := (height - 60) / (code.Size + 8)
		side := (code.Size + 8) * scale
		for y := range side {
			for x := range side {
				shade := byte(0xeb)
				if code.Black(x/scale-4, y/scale-4) {
					shade = 0x10
				}
				light[(y+(height-side)/2)*width+x+(width-side)/2] = shade
			}
		}
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "YUV4MPEG2 W%d H%d F10:1 Ip A1:1 C420mpeg2\n", width, height) // mjpegtools, yuv4mpeg(5)
	grey := bytes.Repeat([]byte{0x80}, width*height/2)
	for range frames {
		b.WriteString("FRAME\n")
		b.Write(light)
		b.Write(grey)
	}
	if err := os.WriteFile(c.file, b.Bytes(), 0o600); err != nil {
		c.tb.Fatal(err)
	}
}
