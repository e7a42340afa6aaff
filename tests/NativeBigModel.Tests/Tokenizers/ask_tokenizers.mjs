// Writes tokenizers_words.json anew: the words of its texts under each of its sets of rules, by Hugging Face's tokenizers.
//     npm install @anush008/tokenizers@0.6.0 && node ask_tokenizers.mjs tokenizers_words.json
// For another pre-tokenizer, first add its name and rules to the file.
import fs from "fs";
import { createRequire } from "module";

const { Tokenizer } = createRequire(process.cwd() + "/")("@anush008/tokenizers");
const path = process.argv[2];
const file = JSON.parse(fs.readFileSync(path, "utf8"));

const prints = byte => (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
const vocabulary = {};
for (let byte = 0, next = 256; byte < 256; byte++) vocabulary[String.fromCodePoint(prints(byte) ? byte : next++)] = byte;

const step = rule => rule.startsWith("Punctuation.")
    ? { type: "Punctuation", behavior: rule.slice("Punctuation.".length) }
    : { type: "Split", pattern: { Regex: rule }, behavior: "Isolated", invert: false };

const tokenizer = rules => Tokenizer.fromString(JSON.stringify({
    version: "1.0", truncation: null, padding: null, added_tokens: [], normalizer: null, post_processor: null, decoder: null,
    pre_tokenizer: { type: "Sequence", pretokenizers: [...rules.map(step), { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false }] },
    model: { type: "BPE", dropout: null, unk_token: null, continuing_subword_prefix: null, end_of_word_suffix: null, fuse_unk: false, byte_fallback: false, ignore_merges: false, vocab: vocabulary, merges: [] },
}));

for (const words of Object.values(file.words)) {
    const asked = tokenizer(words.rules);
    words.lengths = [];
    for (const text of file.texts) {
        const bytes = Buffer.from(text, "utf8"), ids = (await asked.encode(text, null, { addSpecialTokens: false })).getWordIds(), lengths = [];
        for (let from = 0, to = 1; to <= ids.length; to++) {
            if (to < ids.length && ids[to] === ids[to - 1]) continue;
            lengths.push(bytes.subarray(from, to).toString("utf8").length);
            from = to;
        }
        words.lengths.push(lengths.join(" "));
    }
}

const line = value => JSON.stringify(value).replace(/[\u007f-\uffff]/g, letter => "\\u" + letter.charCodeAt(0).toString(16).padStart(4, "0"));
fs.writeFileSync(path, [
    "{", `  "about": ${line(file.about)},`, '  "texts": [', file.texts.map(text => "    " + line(text)).join(",\n"), "  ],", '  "words": {',
    Object.entries(file.words).map(([name, words]) => `    ${line(name)}: {"rules": ${line(words.rules)},\n      "lengths": ${line(words.lengths)}}`).join(",\n"), "  }", "}", "",
].join("\n"));
