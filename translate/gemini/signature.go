package gemini

import (
	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/modeldata"
	"github.com/sluicehq/sluice/translate"
)

// vendor is the name under which signatures travel in extra_content. It is the one that
// Google's own OpenAI-compatible endpoint uses; on Vertex AI it says "vertex", which is
// read too.
const vendor = "google"

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
	var w writer
	w.open('{')
	w.optional(signatureMember, signature)
	if own {
		w.member(ownIDMember, "true")
	}
	w.close('}')
	in.Keep(id, string(w.b))
}

// signatureIn reads extra_content.
func signatureIn(extra jsonview.Value) jsonview.Value {
	for _, from := range [...]string{vendor, "vertex"} {
		if s := extra.Get(from, signatureMember); s.IsString() && s.Inside() != "" {
			return s
		}
	}
	return jsonview.Value{}
}

// signatureOf finds the signature of a call that the model made: where the client
// returned it, else in the memory.
func (r *request) signatureOf(call *translate.AssistantCall, first bool) jsonview.Value {
	if s := signatureIn(call.Extra); s.Exists() {
		return s
	}
	if s := r.kept(call.ID).Get(signatureMember); s.IsString() && s.Inside() != "" {
		return s
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

// isOwnID tells whether Gemini gave the call its id. Only such ids go back, as models
// before Gemini 3 refuse the member; without it, answers are matched by their order.
// The memory knows, else the form of the id tells: those made up here and those of
// other providers have another.
func (r *request) isOwnID(call *translate.AssistantCall) bool {
	return hasOwnForm(call.ID) || r.kept(call.ID).Get(ownIDMember).IsTrue()
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
