package delivery

// unsendable are the refusals for what is in the message itself: no request is made, and nothing is learnt of the
// endpoint.
var unsendable = []*Refusal{errSecret, errBlankSecret, errShortSecret, errUnsigned, errErased,
	errHeadersForm, errHeadersMany, errHeadersSize, errHeadersTwice, errHeadersName, errHeadersValue, errHeadersForbidden}
