package bedrock

import (
	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/translate"
)

// list is the inside of a JSON array under construction.
type list struct {
	out  []byte
	last lastKind
}

// lastKind is what a list ends with, where that matters.
type lastKind uint8

const (
	lastOther lastKind = iota
	lastDocument
	lastCachePoint
)

// next makes room for one more element, which is then appended.
func (l *list) next() {
	if len(l.out) > 0 {
		l.out = append(l.out, ',')
	}
	l.last = lastOther
}

func (l *list) add(parts ...string) {
	l.next()
	l.append(parts...)
}

// append goes on with the last element.
func (l *list) append(parts ...string) {
	for _, p := range parts {
		l.out = append(l.out, p...)
	}
}

// quote goes on with a string.
func (l *list) quote(text string) { l.out = translate.AppendQuoted(l.out, text) }

// cachePoint marks the end of what is to be cached, if the client asked for that in
// Anthropic's way. Bedrock takes no such mark behind a document.
// https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_CachePointBlock.html
func (r *request) cachePoint(to *list, control jsonview.Value) {
	switch {
	case !control.Get("type").Is("ephemeral") || len(to.out) == 0 || to.last == lastCachePoint:
		return
	case to.last == lastDocument:
		r.c.Warn("'cache_control' behind a file was dropped: the provider of this model takes it behind text and images only.")
		return
	}
	to.add(`{"cachePoint":{"type":"default"`)
	if ttl := control.Get("ttl"); ttl.Is("5m") || ttl.Is("1h") {
		to.append(`,"ttl":`, ttl.Raw)
	}
	to.append("}}")
	to.last = lastCachePoint
}
