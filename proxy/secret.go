package proxy

import "bytes"

// leastSecret is the length from which a configured value is looked for in what a provider
// says: a shorter one may be in any text.
const leastSecret = 8

// hideSecrets blots out, in place, the credentials of the provider in an error of its own:
// some quote the key that they do not accept, and it is not the client's to know.
func (p *provider) hideSecrets(said []byte) []byte {
	hide := func(secret string) {
		if len(secret) < leastSecret {
			return
		}
		for rest := said; ; {
			at := bytes.Index(rest, []byte(secret))
			if at < 0 {
				return
			}
			for i := range secret {
				rest[at+i] = '*'
			}
			rest = rest[at+len(secret):]
		}
	}
	hide(string(p.APIKey))
	for _, value := range p.Headers {
		hide(string(value))
	}
	return said
}
