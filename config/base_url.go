package config

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// validBaseURL checks the base URL of p. Its errors complete a sentence that begins
// with the value, which they do not quote: people put credentials into URLs.
func (k *checker) validBaseURL(p Provider) error {
	if p.BaseURL == "" {
		// Only ours to be well-formed; what goes into it is checked by itself.
		if u, err := url.Parse(p.Endpoint()); err != nil || !k.isOwn(u) {
			return nil
		}
		return errOwnAddress
	}
	u, err := parseBaseURL(p.BaseURL)
	if err != nil {
		return err
	}
	if err := p.validPath(strings.TrimRight(u.Path, "/")); err != nil {
		return err
	}
	if k.isOwn(u) {
		return errOwnAddress
	}
	return nil
}

var errOwnAddress = errors.New("is the address sluice itself listens on, so every request would come back in")

func parseBaseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return nil, errors.New("is not a URL; write it as https://host/v1")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("must begin with https:// or http://")
	case u.User != nil:
		return nil, errors.New("must not hold a user or password; use api_key or headers")
	case u.Hostname() == "":
		return nil, errors.New("names no host")
	case strings.ContainsAny(raw, "?#"):
		return nil, errors.New("must not hold a query or a fragment")
	case strings.ContainsFunc(raw, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		return nil, errors.New("must be plain ASCII without spaces")
	case slices.Contains(strings.Split(u.Path, "/"), ".."):
		return nil, errors.New("must not hold a .. in its path")
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return nil, errors.New("has a port that is not between 1 and 65535")
		}
	} else if strings.HasSuffix(u.Host, ":") {
		return nil, errors.New("has an empty port")
	}
	return u, nil
}

// validPath refuses paths that belong to an operation, or to another API than that
// of the dialect. Such a base URL answers every request with 404.
func (p Provider) validPath(path string) error {
	d := dialects[p.Dialect]
	for _, operation := range d.operations {
		if base, ok := strings.CutSuffix(path, operation); ok {
			return fmt.Errorf("ends in %s, which sluice adds itself; stop at %q", operation, base)
		}
	}
	if d.compatible != "" && p.Platform == PlatformNone && strings.HasSuffix(path, d.compatible) {
		return fmt.Errorf("ends in %s, where the vendor speaks the dialect openai", d.compatible)
	}
	if p.Dialect != DialectAzure {
		return nil
	}
	switch {
	case strings.Contains(path, "/deployments/"):
		return errors.New("names a deployment; stop before /deployments: the model's name says which one")
	case p.APIVersion != "" && strings.HasSuffix(path, "/openai/v1"):
		return errors.New("ends in /openai/v1, which knows no api_version; leave out one of them")
	case p.APIVersion == "" && strings.HasSuffix(path, "/openai"):
		return errors.New("ends in /openai; go on to /openai/v1, or set api_version")
	}
	return nil
}

// isOwn reports whether u leads back to the API listener. A shell that sends
// clients to sluice through OPENAI_BASE_URL would otherwise close a loop when
// sluice is started from it.
func (k *checker) isOwn(u *url.URL) bool {
	api, err := parseAddress(k.Listen)
	if err != nil || api.socket != "" {
		return false
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	if port != strconv.Itoa(api.port) {
		return false
	}
	host := u.Hostname()
	here := isLoopback(host) || address{host: host}.everyHost()
	return here && (api.everyHost() || api.loopback()) || strings.EqualFold(host, api.host)
}
