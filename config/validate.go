package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// checker looks for what is wrong with a configuration as a whole. What a value
// must satisfy on its own was checked when it was decoded.
type checker struct {
	*Config
	*loader
	problems *Problems
	// broken holds the lines of earlier problems by path: a value that could not
	// be read is not complained about twice.
	broken map[string]bool
}

// check adds to problems what is wrong with c, whose values come from where from
// says.
func check(c *Config, problems *Problems, from *loader) {
	k := newChecker(c, problems, from)
	k.listeners()
	k.admin()
	k.tls()
	k.providers()
	k.models()
	k.routing()
	k.keys()
	k.books()
	if k.ModelData != "" {
		k.jsonFile("model_data", k.ModelData)
	}
}

func newChecker(c *Config, problems *Problems, from *loader) *checker {
	k := &checker{c, from, problems, map[string]bool{}}
	for _, p := range problems.List {
		k.broken[p.Path] = true
	}
	return k
}

// add reports a problem at the place of path, or of the closest mapping or list
// around it that is written in the file. A value that was taken from a variable is
// named by that.
func (k *checker) add(path, format string, args ...any) {
	if k.broken[path] {
		return
	}
	name := path
	if variable := k.variables[path]; variable != "" {
		name = variable
		if k.Origin == OriginEnvironment {
			k.problems.add(position{}, name, format, args...)
			return
		}
	}
	place := path
	for {
		if at, ok := k.positions[place]; ok || place == "" {
			k.problems.add(at, name, format, args...)
			return
		}
		place = place[:max(0, strings.LastIndexAny(place, ".["))]
	}
}

// show quotes a value for a problem, unless it came through a reference and may
// be a secret put in the wrong place.
func (k *checker) show(path, value string) string {
	if k.referenced[path] {
		return "the value"
	}
	return strconv.Quote(clip(value))
}

// uniqueNames reports names that cannot be used and names used twice, in the
// list at path.
func (k *checker) uniqueNames(list, member, noun string, names []string, valid func(string) error) {
	first := map[string]int{}
	for i, name := range names {
		path := fmt.Sprintf("%s[%d].%s", list, i, member)
		if name == "" {
			continue
		}
		if err := valid(name); err != nil {
			k.add(path, "%s %v", k.show(path, name), err)
			continue
		}
		if before, taken := first[name]; taken {
			k.add(path, "%s %s is already the name of %s[%d]", noun, strconv.Quote(clip(name)), list, before)
			continue
		}
		first[name] = i
	}
}

var plainName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// reservedName is the label value of everything that is not configured.
const reservedName = "other"

func validPlainName(name string) error {
	switch {
	case name == reservedName:
		return fmt.Errorf("is reserved: metrics use it for whatever is not configured")
	case strings.Contains(name, "/"):
		return fmt.Errorf("must not contain a slash: provider/model names are cut there")
	case !plainName.MatchString(name):
		return fmt.Errorf("must be 1 to 64 letters, digits, dots, dashes or underscores and begin with a letter or digit")
	}
	return nil
}

// knownProvider reports a name that is none of the known ones.
func (k *checker) knownProvider(path, name string, known []string) {
	if slices.Contains(known, name) {
		return
	}
	hint := ""
	if near := nearest(name, known); near != "" {
		hint = fmt.Sprintf("; did you mean %s?", near)
	}
	k.add(path, "no provider is named %s%s", k.show(path, name), hint)
}

var hexDigest = regexp.MustCompile(`^[0-9a-fA-F]{64}$`)

// maxJSONFile bounds the files of JSON that are named; a larger one is a mistaken path.
const maxJSONFile = 64 * MiB

// jsonFile only looks for what can be told without knowing the format of the file.
func (k *checker) jsonFile(path, name string) {
	file := k.show(path, name)
	if why := unreadable(name); why != "" {
		k.add(path, "the file %s cannot be read: %s", file, why)
		return
	}
	if info, err := os.Stat(name); err == nil && info.Size() > int64(maxJSONFile) {
		k.add(path, "the file %s is larger than %s", file, maxJSONFile)
		return
	}
	content, err := os.ReadFile(name)
	if err != nil || !json.Valid(content) || !bytes.HasPrefix(bytes.TrimSpace(content), []byte("{")) {
		k.add(path, "the file %s does not hold a JSON object", file)
	}
}
