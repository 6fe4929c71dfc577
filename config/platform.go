package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// The variables that the clouds' own tools take these values from, the preferred
// ones first.
var (
	awsRegionVars    = []string{"AWS_REGION", "AWS_DEFAULT_REGION"}
	awsKeyVars       = []string{"AWS_BEARER_TOKEN_BEDROCK"}
	googleProjectVar = []string{"GOOGLE_CLOUD_PROJECT"}
	googleRegionVars = []string{"GOOGLE_CLOUD_LOCATION", "GOOGLE_CLOUD_REGION"}
)

// completePlatforms fills in what providers on a cloud do not say themselves.
func (d *loader) completePlatforms(providers []Provider) {
	for i := range providers {
		p := &providers[i]
		path := fmt.Sprintf("providers[%d]", i)
		switch {
		case p.OnBedrock():
			p.Region = d.either(p.Region, path+".region", awsRegionVars)
			if _, written := d.positions[path+".api_key"]; !written && p.Credential() == CredentialAWS {
				p.APIKey = Secret(d.either("", path+".api_key", awsKeyVars))
			}
		case p.Platform == PlatformVertex:
			p.Project = d.either(p.Project, path+".project", googleProjectVar)
			p.Region = d.either(p.Region, path+".region", googleRegionVars)
		}
	}
}

// either returns the value at path, or if it is empty that of the first variable that
// is set.
func (d *loader) either(value, path string, variables []string) string {
	if value != "" {
		return value
	}
	for _, name := range variables {
		if value, _ := d.getenv(name); value != "" {
			d.variables[path] = name
			return value
		}
	}
	return ""
}

// urlPart is the form of a value that becomes part of a host name or a path.
type urlPart struct {
	form  *regexp.Regexp
	most  int    // bytes
	holds string // what the form lets in, for people
}

var (
	regionName  = urlPart{regexp.MustCompile(`^[a-z]([a-z0-9-]*[a-z0-9])?$`), 48, "small letters, digits and dashes"}
	projectName = urlPart{regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.:_-]*$`), 128, "letters, digits, dashes, dots and colons"}
	versionName = urlPart{regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`), 64, "letters, digits, dashes and dots"}
)

// platform checks the members that only some dialects and platforms have.
func (k *checker) platform(path string, p Provider) {
	if p.Platform != PlatformNone && !slices.Contains(dialects[p.Dialect].platforms, p.Platform) {
		k.add(path+".platform", "%s", wrongPlatform(p))
		return
	}
	vertex := p.Platform == PlatformVertex
	k.part(path+".project", p.Project, projectName, vertex, "is only for the platform vertex")
	k.part(path+".region", p.Region, regionName, vertex || p.OnBedrock(), "is only for the platforms vertex and bedrock and for the dialect bedrock")
	k.part(path+".api_version", p.APIVersion, versionName, p.Dialect == DialectAzure, "is only for the dialect azure")
	switch {
	case vertex:
		k.needs(path+".project", p.Project, "vertex", googleProjectVar)
		k.needs(path+".region", p.Region, "vertex", googleRegionVars)
	case p.OnBedrock() && (p.BaseURL == "" || p.Credential() == CredentialAWS):
		k.needs(path+".region", p.Region, "bedrock", awsRegionVars)
	}
}

// wrongPlatform says where a platform may stand instead.
func wrongPlatform(p Provider) string {
	switch {
	case p.Dialect == DialectBedrock:
		return "must be left out: the dialect bedrock is spoken on Amazon Bedrock only"
	case len(dialects[p.Dialect].platforms) > 0:
		return fmt.Sprintf("the dialect %s is not spoken on %s, only on %s", p.Dialect, p.Platform, strings.Join(dialects[p.Dialect].platforms, " and "))
	case p.Platform == PlatformVertex:
		return fmt.Sprintf("is only for the dialects anthropic and gemini, not %s", p.Dialect)
	}
	return fmt.Sprintf("is only for the dialect anthropic, not %s", p.Dialect)
}

// part checks a value that becomes part of a URL, and that it has a meaning here.
func (k *checker) part(path, value string, kind urlPart, meant bool, otherwise string) {
	switch {
	case value == "":
	case !meant:
		k.add(path, "%s", otherwise)
	case len(value) > kind.most || !kind.form.MatchString(value):
		k.add(path, "%s must be made of at most %d %s: it becomes part of a URL", k.show(path, value), kind.most, kind.holds)
	}
}

// needs reports that a value is neither in the file nor in the environment.
func (k *checker) needs(path, value, platform string, variables []string) {
	if value == "" {
		k.add(path, "is required on %s; write it or set %s", platform, strings.Join(variables, " or "))
	}
}
