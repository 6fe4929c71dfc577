package accounting

import (
	"encoding/base64"
	"image"
	_ "image/gif"  // sizes of data URLs
	_ "image/jpeg" // sizes of data URLs
	_ "image/png"  // sizes of data URLs
	"math"
	"strings"

	"github.com/tidwall/gjson"
)

// imageCost is the price of an image in tokens. Models see it either in tiles
// of 512 × 512 pixels on top of a base, or in patches of 32 × 32 pixels.
type imageCost struct {
	base, tile int64
	patch      float64 // tokens a patch; zero for the models that use tiles
}

// imageCosts are OpenAI's published numbers ("Images and vision", calculating
// costs); the first prefix that fits counts. Those of GPT-4o stand in for every
// other model.
var imageCosts = []struct {
	prefix string
	imageCost
}{
	{"gpt-4o-mini", imageCost{base: 2833, tile: 5667}},
	{"gpt-4.1-mini", imageCost{patch: 1.62}},
	{"gpt-4.1-nano", imageCost{patch: 2.46}},
	{"gpt-5-mini", imageCost{patch: 1.62}},
	{"gpt-5-nano", imageCost{patch: 2.46}},
	{"o4-mini", imageCost{patch: 1.72}},
	{"gpt-5", imageCost{base: 70, tile: 140}},
	{"o1", imageCost{base: 75, tile: 150}},
	{"o3", imageCost{base: 75, tile: 150}},
	{"", imageCost{base: 85, tile: 170}},
}

func imageCostOf(model string) imageCost {
	for _, c := range imageCosts {
		if strings.HasPrefix(model, c.prefix) {
			return c.imageCost
		}
	}
	return imageCost{}
}

// An image that is given by an address has no known size; it is taken for the
// square that a detailed look scales most images to.
const unknownImageSide = 768

// maxImagePatches is the most patches of one image; a larger one is scaled down.
const maxImagePatches = 1536

// imageTokens counts an image part: {"image_url":{"url","detail"}} of chat
// completions or {"image_url":"…","detail"} of responses. The size is read from
// data URLs of PNG, JPEG and GIF; nothing is ever fetched.
func imageTokens(rule imageRule, model string, part gjson.Result) int64 {
	source, detail := part.Get("image_url"), part.Get("detail")
	if source.IsObject() {
		source, detail = source.Get("url"), source.Get("detail")
	}
	cost := imageCostOf(model)
	if rule == imagesOfOpenAI && detail.String() == "low" && cost.patch == 0 {
		return cost.base
	}
	width, height, ok := dataURLSize(source.String())
	if !ok {
		width, height = unknownImageSide, unknownImageSide
	}
	if rule != imagesOfOpenAI {
		return rule.tokens(width, height)
	}
	if cost.patch > 0 {
		return int64(math.Ceil(float64(imagePatches(width, height)) * cost.patch))
	}
	return cost.base + cost.tile*imageTiles(width, height)
}

// imageRule is how a family's makers count the tokens of an image.
type imageRule uint8

const (
	imagesOfOpenAI  imageRule = iota // tiles or patches, by model
	imagesByArea                     // Anthropic: a token for each 750 pixels, scaled to at most 1568 a side
	imagesByTile                     // Google: 258 for a small image, and for each tile of 768 of a larger one
	imagesByPatch28                  // Mistral and others: patches of 28 pixels, and a mark behind each row
)

// tokens counts an image by the rule of its makers; see "Vision" in Anthropic's and
// "Image understanding" in Google's documentation.
func (r imageRule) tokens(width, height int) int64 {
	w, h := float64(width), float64(height)
	shrink := func(longest float64) {
		if side := max(w, h); side > longest {
			w, h = w*longest/side, h*longest/side
		}
	}
	switch r {
	case imagesByArea:
		shrink(1568)
		return int64(math.Ceil(w * h / 750))
	case imagesByTile:
		if w <= 384 && h <= 384 {
			return 258
		}
		return 258 * int64(math.Ceil(w/768)*math.Ceil(h/768))
	default:
		shrink(1540)
		return int64(math.Ceil(h/28) * (math.Ceil(w/28) + 1))
	}
}

func imagePatches(width, height int) int64 {
	patchesOf := func(side int) int64 { return (int64(side) + 31) / 32 }
	return min(patchesOf(width)*patchesOf(height), maxImagePatches)
}

// imageTiles returns the tiles that an image is seen in: scaled down to fit
// 2048 × 2048, then so that its shorter side is at most 768.
func imageTiles(width, height int) int64 {
	w, h := float64(width), float64(height)
	if longest := max(w, h); longest > 2048 {
		w, h = w*2048/longest, h*2048/longest
	}
	if shortest := min(w, h); shortest > 768 {
		w, h = w*768/shortest, h*768/shortest
	}
	tilesOf := func(side float64) int64 { return max((int64(side+0.5)+511)/512, 1) }
	return tilesOf(w) * tilesOf(h)
}

// dataURLSize reads the size from the head of a base64 data URL (RFC 2397).
func dataURLSize(url string) (width, height int, ok bool) {
	if !strings.HasPrefix(url, "data:image/") {
		return 0, 0, false
	}
	_, encoded, found := strings.Cut(url, ";base64,")
	if !found {
		return 0, 0, false
	}
	config, _, err := image.DecodeConfig(base64.NewDecoder(base64.StdEncoding, strings.NewReader(encoded)))
	if err != nil || config.Width <= 0 || config.Height <= 0 {
		return 0, 0, false
	}
	return config.Width, config.Height, true
}
