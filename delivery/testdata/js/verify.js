// Reads one request as JSON from stdin, {"secret", "headers", "body" in base64}, and prints what the official library of
// Standard Webhooks makes of it: verified or refused. Anything else ends it with an exception.
const { readFileSync } = require("node:fs")
const { Webhook, WebhookVerificationError } = require("standardwebhooks")

const { secret, headers, body } = JSON.parse(readFileSync(0, "utf8"))

// A secret that is not whsec_ is the key as it stands. It is given as bytes, because of a string the library would take
// one byte a character.
const webhook = secret.startsWith("whsec_") ? new Webhook(secret) : new Webhook(Buffer.from(secret), { format: "raw" })

try {
  webhook.verify(Buffer.from(body, "base64"), headers)
  console.log("verified")
} catch (error) {
  if (!(error instanceof WebhookVerificationError)) throw error
  console.log("refused")
}
