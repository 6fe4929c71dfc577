package accounting

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"image"
	"image/gif"
	"image/jpeg"
	"image/png"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestImageTilesFollowThePublishedExamples(t *testing.T) {
	f := func(width, height int, want int64) {
		t.Helper()
		require.Equal(t, want, imageTiles(width, height), "%dx%d", width, height)
	}

	f(1024, 1024, 4) // scaled to 768 × 768
	f(2048, 4096, 6) // scaled to 1024 × 2048, then 768 × 1536
	f(1, 1, 1)
	f(512, 512, 1)
	f(513, 512, 2)
	f(1<<30, 1, 4)
}

func dataURL(t *testing.T, format string, width, height int) string {
	t.Helper()
	picture := image.NewGray(image.Rect(0, 0, width, height))
	var b bytes.Buffer
	var err error
	switch format {
	case "png":
		err = png.Encode(&b, picture)
	case "jpeg":
		err = jpeg.Encode(&b, picture, nil)
	case "gif":
		err = gif.Encode(&b, picture, nil)
	}
	require.NoError(t, err)
	return "data:image/" + format + ";base64," + base64.StdEncoding.EncodeToString(b.Bytes())
}

func TestImageSizeIsReadFromDataURLs(t *testing.T) {
	for _, format := range []string{"png", "jpeg", "gif"} {
		width, height, ok := dataURLSize(dataURL(t, format, 640, 480))
		require.True(t, ok, format)
		require.Equal(t, []int{640, 480}, []int{width, height}, format)
	}
	for _, url := range []string{
		"", "https://example.com/a.png", "data:image/png,raw", "data:image/png;base64,", "data:image/png;base64,%%%",
		"data:image/png;base64,AAAA", "data:text/plain;base64,AAAA",
	} {
		_, _, ok := dataURLSize(url)
		require.False(t, ok, url)
	}
}

func TestImagesInPrompts(t *testing.T) {
	var e Estimator
	const around = 3 + 1 + 3
	f := func(model, url, detail string, want int64) {
		t.Helper()
		chat := fmt.Sprintf(`{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":%q,"detail":%q}}]}]}`, url, detail)
		require.Equal(t, around+want, e.Prompt(model, "chat", []byte(chat)))
		responses := fmt.Sprintf(`{"input":[{"role":"user","content":[{"type":"input_image","image_url":%q,"detail":%q}]}]}`, url, detail)
		require.Equal(t, around+want, e.Prompt(model, "responses", []byte(responses)))
	}

	square := dataURL(t, "png", 1024, 1024)
	f("gpt-4o", square, "high", 765)
	f("gpt-4o", square, "auto", 765)
	f("gpt-4o", square, "low", 85)
	f("gpt-4o", "https://example.com/a.png", "high", 765)
	f("gpt-4o", dataURL(t, "png", 100, 100), "", 255)
	f("gpt-4o-mini", square, "low", 2833)
	f("gpt-4o-mini", square, "high", 25501)
	f("gpt-4.1-mini", square, "high", 1659) // 1024 patches
	f("gpt-4.1-mini", dataURL(t, "png", 4096, 4096), "high", 2489)
}

func TestOtherMakersCountImagesTheirOwnWay(t *testing.T) {
	f := func(rule imageRule, width, height int, want int64) {
		t.Helper()
		require.Equal(t, want, rule.tokens(width, height), "%dx%d", width, height)
	}

	f(imagesByArea, 200, 200, 54) // Anthropic's examples
	f(imagesByArea, 1000, 1000, 1334)
	f(imagesByArea, 1568, 784, 1640)
	f(imagesByArea, 3136, 1568, 1640) // scaled down to the same
	f(imagesByTile, 384, 384, 258)
	f(imagesByTile, 768, 768, 258)
	f(imagesByTile, 1000, 700, 516)
	f(imagesByPatch28, 28, 28, 2)
	f(imagesByPatch28, 280, 140, 55)
}
