package gemini

import (
	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/modeldata"
	"github.com/sluicehq/sluice/translate"
	"github.com/sluicehq/sluice/translate/wire"
)

// vendor is the name under which signatures travel in extra_content. The two are those of
// Google's own OpenAI-compatible endpoints, and each is read back by the API that gave it
// only: the Developer API and Vertex AI refuse each other's signatures.
func vendor(c *translate.Context) string {
	if c.Platform.Platform == translate.PlatformVertex {
		return "vertex"
	}
	return "google"
}

const signatureMember = "thought_signature"

// noSignature stands for a signature that cannot be had: of a call that another model
// made, or whose signature the client has lost. Source:
// https://ai.google.dev/gemini-api/docs/thought-signatures
const noSignature = `"skip_thought_signature_validator"`

// carry is what goes to the client: the signature, a JSON string, copied as it stands,
// since decoding and encoding may change it.
func carry(signature jsonview.Value) string {
	return `{"` + signatureMember + `":` + signature.Raw + `}`
}

// ownIDMember marks, in the memory only, a call whose id Gemini has given.
const ownIDMember = "own_id"

// keep remembers a call for the turns that follow, if there is anything to remember.
func keep(in translate.Carried, id string, own bool, signature jsonview.Value) {
	if in == nil || !own && !signature.Exists() {
		return
	}
	w := wire.NewObject(len(signature.Raw) + 64)
	w.Raw(signatureMember, signature)
	if own {
		w.Bool(ownIDMember, true)
	}
	in.Keep(id, string(w.End()))
}

// signatureIn reads what extra_content, or the memory, has of a message or call.
func signatureIn(object jsonview.Value) jsonview.Value {
	if s := object.Get(signatureMember); s.IsString() && s.Inside() != "" {
		return s
	}
	return jsonview.Value{}
}

// signatureOf finds the signature of a call that the model made: where the client
// returned it, else in the memory.
func (r *request) signatureOf(call *translate.AssistantCall, first bool) jsonview.Value {
	for _, from := range [...]jsonview.Value{call.Extra.Get(vendor(r.c)), r.kept(call.ID)} {
		if s := signatureIn(from); s.Exists() {
			return s
		}
	}
	if first && r.c.Known.Has(modeldata.TraitThoughtSignatures) {
		return jsonview.Value{Raw: noSignature}
	}
	return jsonview.Value{}
}

// kept is what the memory has of a call.
func (r *request) kept(id string) jsonview.Value {
	if r.c.Carried == nil {
		return jsonview.Value{}
	}
	v, _ := jsonview.Parse([]byte(r.c.Carried.Find(id)))
	return v
}

// isOwnID tells whether Gemini gave the call its id. Only such ids go back: those made up
// here and those of other providers mean nothing to it, models before Gemini 3 and Vertex
// AI know none, and without them answers are matched by their order. The memory knows,
// else the form of the id tells.
func (r *request) isOwnID(call *translate.AssistantCall) bool {
	if r.kept(call.ID).Get(ownIDMember).IsTrue() {
		return true
	}
	return r.c.Platform.Platform != translate.PlatformVertex &&
		r.c.Known.Has(modeldata.TraitThoughtSignatures) && hasOwnForm(call.ID)
}

// hasOwnForm recognises Gemini's ids: eight small letters and digits, as in 8hd01vsf.
func hasOwnForm(id string) bool {
	if len(id) != 8 {
		return false
	}
	for i := range len(id) {
		if c := id[i]; !translate.IsAlnum(c) || c >= 'A' && c <= 'Z' {
			return false
		}
	}
	return true
}
