// Checks one signed checkpoint and inclusion proofs with the verifier that npm uses for provenance.
//
// Reads from standard input {checkpoint, name, keyId, publicKey, entries: [{index, body, hashes}]}:
// keyId in hex, the public key as base64 of SubjectPublicKeyInfo, bodies and hashes in base64.
// Prints {signed, included: [true, ...]}. The two modules are internals of the package, so the
// version is pinned.
const { createPublicKey } = require("node:crypto");
const { readFileSync } = require("node:fs");
const { verifyCheckpoint } = require("@sigstore/verify/dist/tlog/checkpoint");
const { verifyMerkleInclusion } = require("@sigstore/verify/dist/tlog/merkle");

const bytes = (text) => Buffer.from(text, "base64");

function outcome(check) {
  try {
    return check() ?? true;
  } catch (error) {
    if (error.name === "VerificationError") return false;
    throw error;
  }
}

const input = JSON.parse(readFileSync(0, "utf8"));
const log = {
  baseURL: input.name,
  logID: Buffer.from(input.keyId, "hex"),
  publicKey: createPublicKey({ key: bytes(input.publicKey), format: "der", type: "spki" }),
};
const note = { inclusionProof: { checkpoint: { envelope: input.checkpoint } } };
const checkpoint = outcome(() => verifyCheckpoint(note, [log]));
const included = input.entries.map(({ index, body, hashes }) =>
  outcome(() => {
    if (!checkpoint) return false;
    const inclusionProof = { logIndex: String(index), hashes: hashes.map(bytes) };
    const entry = { canonicalizedBody: bytes(body), inclusionProof };
    verifyMerkleInclusion(entry, checkpoint);
  }),
);
console.log(JSON.stringify({ signed: checkpoint !== false, included }));
