package replicas

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAFrameIsReadAsItWasWritten(t *testing.T) {
	for _, f := range []frame{
		{form: formQuestion, from: peer{1, 2, 3}, id: 1 << 60, inbox: "sluice:replicas:answers::01", kind: "cancel", body: []byte("id")},
		{form: formQuestion, id: 1, body: []byte{}},
		{form: formQuestion, inbox: strings.Repeat("i", longestName), kind: strings.Repeat("k", longestName), body: []byte{0}},
		{form: formMessage, from: peer{255}, kind: "gone", body: []byte("{}")},
		{form: formAnswer, from: peer{7}, id: 9, said: true, body: []byte{}},
		{form: formAnswer, from: peer{7}, id: 9, body: []byte{}},
	} {
		got, err := decode(f.encode())
		require.NoError(t, err)
		require.Equal(t, f, *got)
	}
}

func TestWhatIsNoFrameIsRefused(t *testing.T) {
	whole := (&frame{form: formQuestion, inbox: "inbox", kind: "kind"}).encode()
	for n := range whole {
		_, err := decode(whole[:n])
		require.ErrorIs(t, err, errFrame)
	}
	for _, in := range []string{
		string((&frame{form: 'x'}).encode()),
		string((&frame{form: formAnswer}).encode()[:headLength]) + "\x02",
		string((&frame{form: formMessage}).encode()[:headLength]) + "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
		string((&frame{form: formMessage, kind: strings.Repeat("k", longestName+1)}).encode()),
	} {
		_, err := decode([]byte(in))
		require.ErrorIs(t, err, errFrame)
	}
	whole[0] = version + 1
	_, err := decode(whole)
	require.ErrorIs(t, err, errVersion)
}

func FuzzDecode(f *testing.F) {
	f.Add((&frame{form: formQuestion, inbox: "inbox", kind: "kind", body: []byte("body")}).encode())
	f.Add((&frame{form: formAnswer, said: true, body: []byte("body")}).encode())
	f.Add((&frame{form: formMessage, kind: "kind"}).encode())
	f.Add([]byte{version})
	f.Fuzz(func(t *testing.T, in []byte) {
		got, err := decode(in)
		if err != nil {
			return
		}
		again, err := decode(got.encode())
		require.NoError(t, err)
		require.Equal(t, got, again)
	})
}
