package simulator

import (
	"encoding/base64"
	"encoding/binary"
	"hash/fnv"
	"math"
	"net/http"
	"strconv"
	"strings"
)

// Sizes of an embedding.
const (
	defaultDimensions = 256
	maxDimensions     = 4096
	maxInputs         = 2048
)

type embedRequest struct {
	Model      string  `json:"model"`
	Input      prompts `json:"input"`
	Dimensions *int    `json:"dimensions"`
	Encoding   string  `json:"encoding_format"`
}

func (q *embedRequest) check() *failure {
	switch {
	case len(q.Input) == 0 || len(q.Input) > maxInputs:
		return invalid("input", "input must be a text, a list of token numbers, or a list of up to 2048 of either.")
	case q.Dimensions != nil && (*q.Dimensions < 1 || *q.Dimensions > maxDimensions):
		return invalid("dimensions", "dimensions must be between 1 and 4096.")
	case q.Encoding != "" && q.Encoding != "float" && q.Encoding != "base64":
		return invalid("encoding_format", "encoding_format must be float or base64.")
	}
	return nil
}

func (s *Server) embed(w http.ResponseWriter, r *http.Request) {
	var q embedRequest
	if f := readJSON(w, r, &q); f != nil {
		fail(w, f)
		return
	}
	_, f := findModel(q.Model, true)
	if f == nil {
		f = q.check()
	}
	if f != nil {
		fail(w, f)
		return
	}
	dimensions := defaultDimensions
	if q.Dimensions != nil {
		dimensions = *q.Dimensions
	}
	tokens := 0
	data := make([]any, len(q.Input))
	for i, in := range q.Input {
		tokens += in.tokens
		data[i] = map[string]any{"object": "embedding", "index": i, "embedding": q.encoded(vector(in, dimensions))}
	}
	reply(w, http.StatusOK, mustJSON(map[string]any{
		"object": "list", "data": data, "model": q.Model,
		"usage": map[string]int{"prompt_tokens": tokens, "total_tokens": tokens},
	}))
}

func (q *embedRequest) encoded(v []float32) any {
	if q.Encoding != "base64" {
		return v
	}
	raw := make([]byte, 0, 4*len(v))
	for _, x := range v {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(x))
	}
	return base64.StdEncoding.EncodeToString(raw)
}

// vector is a unit vector made by hashing the words, so that texts which share
// words lie close together.
func vector(in prompt, dimensions int) []float32 {
	words := strings.Fields(strings.ToLower(in.text))
	if len(words) == 0 {
		words = []string{strconv.Itoa(in.tokens)}
	}
	v := make([]float32, dimensions)
	for _, word := range words {
		h := fnv.New64a()
		_, _ = h.Write([]byte(word))
		sum := h.Sum64()
		sign := float32(1)
		if sum>>63 == 1 {
			sign = -1
		}
		v[sum%uint64(dimensions)] += sign
	}
	return normalized(v)
}

func normalized(v []float32) []float32 {
	var square float64
	for _, x := range v {
		square += float64(x) * float64(x)
	}
	if square == 0 {
		v[0], square = 1, 1
	}
	for i := range v {
		v[i] = float32(float64(v[i]) / math.Sqrt(square))
	}
	return v
}
