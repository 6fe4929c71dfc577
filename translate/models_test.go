package translate

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestModelList(t *testing.T) {
	require.Equal(t, `{"object":"list","data":[]}`, string(AppendModelList(nil, nil)))
	require.Equal(t,
		`{"object":"list","data":[{"id":"fast","object":"model","created":1700000000,"owned_by":"openai"},{"id":"a\"b","object":"model","created":0,"owned_by":""}]}`,
		string(AppendModelList(nil, []ModelEntry{{ID: "fast", Created: 1700000000, OwnedBy: "openai"}, {ID: `a"b`}})))
	require.Equal(t, `{"id":"sim","object":"model","created":5,"owned_by":"sluice"}`,
		string(AppendModel(nil, ModelEntry{ID: "sim", Created: 5, OwnedBy: "sluice"})))
}
