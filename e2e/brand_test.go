// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"encoding/json"
	"image"
	"image/color"
	"image/png"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/countersign/countersign/client"
)

const svgLogo = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"><!-- ours --><path d="M0 0L8 8" style="stroke:#0b5f73"/></svg>`

func pngLogo(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	must(t, png.Encode(&b, image.NewPaletted(image.Rect(0, 0, 8, 8), color.Palette{color.Black})))
	return b.Bytes()
}

// shownBrand is what the API and the commands show of a brand.
type shownBrand struct {
	Policy map[string]any `json:"policy"`
	Brand  struct {
		AccentLight  string `json:"accent_light"`
		AccentDark   string `json:"accent_dark"`
		SupportEmail string `json:"support_email"`
		SupportPhone string `json:"support_phone"`
		SupportURL   string `json:"support_url"`

		Senders         []string `json:"senders"`
		CallbackNumbers []string `json:"callback_numbers"`
		Domains         []string `json:"domains"`
		Logo            struct {
			ContentType string `json:"content_type"`
			Bytes       int    `json:"bytes"`
		} `json:"logo"`
	} `json:"brand"`
}

func TestBrandOverTheAPI(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, database string) {
		url, key := start(t, database)
		ask := func(method, path, kind, body string) (*http.Response, []byte) {
			t.Helper()
			req, err := http.NewRequestWithContext(t.Context(), method, url+path, strings.NewReader(body))
			must(t, err)
			req.Header.Set("Authorization", "Bearer "+key)
			if kind != "" {
				req.Header.Set("Content-Type", kind)
			}
			res, err := http.DefaultClient.Do(req)
			must(t, err)
			defer res.Body.Close()
			text, err := io.ReadAll(res.Body)
			must(t, err)
			return res, text
		}
		brand := func(method, body string) (s shownBrand) {
			t.Helper()
			res, text := ask(method, "/v1/service", "application/json", body)
			if res.StatusCode != 200 {
				t.Fatalf("%s %s: %d %s", method, body, res.StatusCode, text)
			}
			must(t, json.Unmarshal(text, &s))
			return s
		}
		refused := func(method, path, kind, body string, status int, field string) client.Problem {
			t.Helper()
			res, text := ask(method, path, kind, body)
			var p client.Problem
			must(t, json.Unmarshal(text, &p))
			if res.StatusCode != status || p.Field != field {
				t.Errorf("%s %s %s: %d %s", method, path, kind, res.StatusCode, text)
			}
			return p
		}
		first := brand("PATCH", `{"brand":{"accent_light":"#8a1c4a","support_email":"help@acme.example"},"policy":{"second_step":"required","session_days":7}}`)
		second := brand("PATCH", `{"brand":{"support_phone":"+1 415 555 0100","support_url":"https://acme.example/help"}}`)
		if first.Brand.AccentLight != "#8a1c4a" || second.Brand.AccentLight != "#8a1c4a" || second.Brand.SupportEmail != "help@acme.example" ||
			second.Brand.SupportPhone == "" || second.Policy["second_step"] != "required" || second.Policy["session_days"] != 7.0 || second.Policy["sign_up"] != true {
			t.Fatalf("what is left out doesn't stay: %+v", second)
		}
		if third := brand("PATCH", `{"brand":{"accent_light":""}}`); third.Brand.AccentLight != "" || third.Brand.SupportEmail == "" {
			t.Fatalf("what is taken back: %+v", third)
		}
		listed := brand("PATCH", `{"brand":{"senders":["ACME","72000"],"callback_numbers":["+18005550199"],"domains":["shop.acme.example"]}}`)
		if listed = brand("PATCH", `{"brand":{"senders":["ACME 2"]}}`); !slices.Equal(listed.Brand.Senders, []string{"ACME 2"}) ||
			!slices.Equal(listed.Brand.CallbackNumbers, []string{"+18005550199"}) || !slices.Equal(listed.Brand.Domains, []string{"shop.acme.example"}) {
			t.Fatalf("what is listed: %+v", listed.Brand)
		}
		if listed = brand("PATCH", `{"brand":{"senders":[],"domains":[]}}`); len(listed.Brand.Senders)+len(listed.Brand.Domains) > 0 || len(listed.Brand.CallbackNumbers) != 1 {
			t.Fatalf("what is taken back: %+v", listed.Brand)
		}
		refused("PATCH", "/v1/service", "application/json", `{"brand":{"callback_numbers":["+1 800 555 0199"]}}`, 400, "brand.callback_numbers[0]")
		refused("PATCH", "/v1/service", "application/json", `{"brand":{"domains":["Acme.example"]}}`, 400, "brand.domains[0]")
		refused("PATCH", "/v1/service", "application/json", `{"brand":{"senders":"ACME"}}`, 400, "brand.senders")
		pale := refused("PATCH", "/v1/service", "application/json", `{"brand":{"accent_light":"#777777"}}`, 400, "brand.accent_light")
		if pale.Code != "low_contrast" || !strings.Contains(pale.Detail, "4.47 to 1") || !strings.Contains(pale.Detail, "4.5 to 1") {
			t.Errorf("a pale accent: %+v", pale)
		}
		refused("PATCH", "/v1/service", "application/json", `{"brand":{"accent":"#777777"}}`, 400, "brand.accent")
		refused("PATCH", "/v1/service", "application/json", `{"brand":{"logo":"x"}}`, 400, "brand.logo")
		refused("PATCH", "/v1/service", "application/json", `{"policy":{"recovery_hours":1}}`, 400, "policy.recovery_hours")
		refused("PATCH", "/v1/service", "application/json", `{"policy":{"sign_up":"no"}}`, 400, "policy.sign_up")

		refused("GET", "/v1/service/logo", "", "", 404, "")
		for kind, picture := range map[string]string{"image/png": string(pngLogo(t)), "image/svg+xml; charset=utf-8": svgLogo} {
			if res, text := ask("PUT", "/v1/service/logo", kind, picture); res.StatusCode != 204 {
				t.Fatalf("%s: %d %s", kind, res.StatusCode, text)
			}
			res, got := ask("GET", "/v1/service/logo", "", "")
			plain, _, _ := strings.Cut(kind, ";")
			if res.StatusCode != 200 || res.Header.Get("Content-Type") != plain || !strings.Contains(res.Header.Get("Content-Security-Policy"), "sandbox") ||
				strings.Contains(string(got), "<!--") || plain == "image/png" && string(got) != picture {
				t.Fatalf("the logo: %d %v %s", res.StatusCode, res.Header, got)
			}
			if s := brand("GET", ""); s.Brand.Logo.ContentType != plain || s.Brand.Logo.Bytes != len(got) || s.Brand.SupportEmail == "" {
				t.Fatalf("the service: %+v", s)
			}
		}
		if s := brand("PATCH", `{"brand":{"accent_dark":"#ffffff"}}`); s.Brand.Logo.Bytes == 0 {
			t.Fatal("another change loses the logo")
		}
		refused("PUT", "/v1/service/logo", "image/png", svgLogo, 400, "Content-Type")
		refused("PUT", "/v1/service/logo", "image/jpeg", "\xff\xd8", 415, "Content-Type")
		refused("PUT", "/v1/service/logo", "image/svg+xml", strings.Replace(svgLogo, "<path", "<script/><path", 1), 400, "logo")
		refused("PUT", "/v1/service/logo", "image/png", "", 400, "logo")
		refused("PUT", "/v1/service/logo", "image/png", strings.Repeat("x", 64<<10+1), 413, "")
		if res, _ := ask("DELETE", "/v1/service/logo", "", ""); res.StatusCode != 204 {
			t.Fatal("the logo is not removed")
		}
		if s := brand("GET", ""); s.Brand.Logo.Bytes != 0 || s.Brand.AccentDark != "#ffffff" {
			t.Fatalf("without its logo: %+v", s)
		}
		_, text := ask("GET", "/openapi.json", "", "")
		for _, word := range []string{`"accent_light"`, `"second_step"`, `"image/svg+xml"`, `"/v1/service/logo"`} {
			if !strings.Contains(string(text), word) {
				t.Errorf("the document doesn't say %s", word)
			}
		}
	})
}

func TestBrandByCommands(t *testing.T) {
	t.Parallel()
	p := newProgram(t, "sqlite:"+filepath.Join(t.TempDir(), "brand.db"), newGateway(t))
	logo := filepath.Join(t.TempDir(), "logo.svg")
	must(t, os.WriteFile(logo, []byte(svgLogo), 0o600))
	show := func() (s shownBrand) {
		t.Helper()
		must(t, json.Unmarshal([]byte(p.run("", "service", "show", "acme", "--config", p.config)), &s))
		return s
	}
	p.run("", "service", "set", "acme", "--accent-light", "#8a1c4a", "--accent-dark", "#f0a8c4", "--logo", logo, "--support-email", "help@acme.example",
		"--support-phone", "+1 415 555 0100", "--support-url", "https://acme.example/help", "--policy", `{"sign_up":false}`, "--config", p.config)
	if s := show(); s.Brand.AccentLight != "#8a1c4a" || s.Brand.AccentDark != "#f0a8c4" || s.Brand.SupportURL == "" || s.Brand.Logo.ContentType != "image/svg+xml" || s.Policy["sign_up"] != false {
		t.Fatalf("after set: %+v", s)
	}
	p.run("", "service", "set", "acme", "--name", "Acme 2", "--logo", "", "--support-email", "", "--config", p.config)
	if s := show(); s.Brand.AccentLight != "#8a1c4a" || s.Brand.SupportEmail != "" || s.Brand.SupportPhone == "" || s.Brand.Logo.Bytes != 0 || s.Policy["sign_up"] != false {
		t.Fatalf("after the second: %+v", s)
	}
	for _, wrong := range [][]string{{"--accent-light", "#777777"}, {"--logo", p.config}, {"--logo", logo + "x"}, {"--support-url", "http://acme.example/"}} {
		cmd := exec.CommandContext(t.Context(), p.path, append([]string{"service", "set", "acme", "--config", p.config}, wrong...)...)
		cmd.Env = p.env
		if out, err := cmd.CombinedOutput(); err == nil || cmd.ProcessState.ExitCode() != 2 {
			t.Errorf("%v: %v\n%s", wrong, err, out)
		} else {
			t.Logf("%s", out)
		}
	}
}

// The mail of a code tells from what device and where it was asked for, in words of ours and not the caller's.
func TestRequestsAreToldInWords(t *testing.T) {
	t.Parallel()
	url, _ := start(t, "sqlite:"+filepath.Join(t.TempDir(), "words.db"))
	const agent = "Mozilla/5.0 (X11; Linux x86_64; rv:146.0) Gecko/20100101 Firefox/146.0 call +1 415 555 0199"
	req, err := http.NewRequestWithContext(t.Context(), "POST", url+"/", strings.NewReader("contact=ann@mail.example"))
	must(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("User-Agent", agent)
	res, err := http.DefaultTransport.RoundTrip(req)
	must(t, err)
	must(t, res.Body.Close())
	if l := await(t, url, 1); !strings.Contains(l.Text, "Firefox on Linux, this machine") || strings.Contains(l.Text, "0199") {
		t.Fatalf("%d: %s", res.StatusCode, l.Text)
	}
}
