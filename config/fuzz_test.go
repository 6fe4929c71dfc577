package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/config"
)

// FuzzParse looks for input that crashes, that is refused without a problem, or
// that is accepted without being usable.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(src))
	}
	f.Add("log: &l {<<: *l}")
	f.Add("a: &a [*a, *a]")
	f.Add("\xff\xfe")
	f.Fuzz(func(t *testing.T, src string) {
		if strings.Contains(src, "file:") || strings.Contains(src, "_file") || strings.Contains(src, "model_data") {
			return // leave the file system alone
		}
		c, err := config.Parse([]byte(src), "fuzz", testEnvironment)
		if err != nil {
			var problems *config.Problems
			if !errors.As(err, &problems) || len(problems.List) == 0 || c != nil {
				t.Fatalf("refused without a problem: %v", err)
			}
			for _, p := range problems.List {
				if p.Message == "" || p.Line < 0 || p.Column < 0 {
					t.Fatalf("incomplete problem %+v", p)
				}
			}
			return
		}
		for i := range c.Providers {
			maskForGood(&c.Providers[i])
		}
		if strings.Contains(string(c.Redacted()), "${") {
			return // an escaped ${ would be a reference now
		}
		again, err := config.Parse(c.Redacted(), "again", testEnvironment)
		if err != nil {
			t.Fatalf("the configuration in force is refused: %v\n%s", err, c.Redacted())
		}
		if c.Digest() != again.Digest() {
			t.Fatalf("digest changed:\n%s\n%s", c.Redacted(), again.Redacted())
		}
	})
}

// maskForGood replaces secrets by what masking does not change any more.
func maskForGood(p *config.Provider) {
	const masked = "***"
	if p.APIKey != "" {
		p.APIKey = masked
	}
	for name := range p.Headers {
		p.Headers[name] = masked
	}
}
