"""Remakes what transforms/text is tested against, with Hugging Face as the oracle.

    .venv/bin/python testdata/text.py            golden files and Unicode tables
    .venv/bin/python testdata/text.py golden     testdata/golden/text/ only
    .venv/bin/python testdata/text.py tables     transforms/text/unicode_tables.go only
    .venv/bin/python testdata/text.py check DIR  load the tokenizer folders in DIR in every way
                                                 transformers has and compare ids and text with
                                                 each one's expected.jsonl; they are written by
        go test ./transforms/text -run TestWriteCheckFolders -check_dir=DIR

The vocabulary is made up here (letters of many scripts, common words, random
pieces), so that nobody's file is copied; the tokenizer code that runs over it
is the reference's own.
"""

import gzip
import hashlib
import json
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile

from tokenizers import normalizers, pre_tokenizers

ROOT = pathlib.Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "testdata" / "golden" / "text"
CODE_POINTS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


# --- Unicode tables -------------------------------------------------------------------


def bert_normalizer(**on):
    off = dict(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False)
    return normalizers.BertNormalizer(**{**off, **on})


def strided_ranges(points):
    """[(lo, hi, stride)] covering the sorted points, as unicode.RangeTable has them."""
    out, i = [], 0
    while i < len(points):
        lo, stride, j = points[i], 1, i
        if i + 1 < len(points):
            step = points[i + 1] - lo
            # A stride other than 1 pays for itself from three points on.
            if step == 1 or (i + 2 < len(points) and points[i + 2] - points[i + 1] == step and step <= 4):
                stride = step
                while j + 1 < len(points) and points[j + 1] - points[j] == stride:
                    j += 1
        out.append((lo, points[j], stride))
        i = j + 1
    return out


def go_range_table(name, comment, points):
    rows16, rows32 = [], []
    for lo, hi, stride in strided_ranges(sorted(points)):
        if lo <= 0xFFFF < hi:
            assert stride == 1
            rows16.append((lo, 0xFFFF, 1))
            rows32.append((0x10000, hi, 1))
        else:
            (rows16 if hi <= 0xFFFF else rows32).append((lo, hi, stride))
    lines = [f"// {comment}", f"var {name} = &unicode.RangeTable{{"]
    for field, kind, rows in (("R16", "Range16", rows16), ("R32", "Range32", rows32)):
        if not rows:
            continue
        lines.append(f"\t{field}: []unicode.{kind}{{")
        for k in range(0, len(rows), 4):
            lines.append("\t\t" + " ".join(f"{{0x{lo:04x}, 0x{hi:04x}, {s}}}," for lo, hi, s in rows[k : k + 4]))
        lines.append("\t},")
    latin = sum(1 for lo, hi, s in rows16 if hi <= 0xFF)
    lines += [f"\tLatinOffset: {latin},", "}", ""]
    return "\n".join(lines)


def go_lower_table(mapping):
    """Ranges of capitals with one distance to their small letters."""
    points, rows, i = sorted(mapping), [], 0
    while i < len(points):
        lo = points[i]
        delta, j, stride = mapping[lo] - lo, i, 1
        if i + 1 < len(points) and mapping[points[i + 1]] - points[i + 1] == delta and points[i + 1] - lo <= 2:
            stride = points[i + 1] - lo
            while j + 1 < len(points) and points[j + 1] - points[j] == stride and mapping[points[j + 1]] - points[j + 1] == delta:
                j += 1
        rows.append((lo, points[j], stride, delta))
        i = j + 1
    lines = [
        "// lowerRanges map capitals to small letters, one to one. The only mapping to",
        "// more than one is that of U+0130; see lower.",
        "var lowerRanges = []lowerRange{",
    ]
    for k in range(0, len(rows), 4):
        lines.append("\t" + " ".join(f"{{0x{lo:04x}, 0x{hi:04x}, {s}, {d}}}," for lo, hi, s, d in rows[k : k + 4]))
    return "\n".join(lines + ["}", ""])


def moves_when_ordered(nfd, c):
    """Whether c has a combining class: whether NFD reorders it with another mark."""
    low, high = "\u0334", "\u0345"  # classes 1 and 240, the ends of the scale
    s = chr(c)
    return nfd.normalize_str("a" + high + s) != "a" + high + nfd.normalize_str(s) or (
        nfd.normalize_str("a" + s + low) != "a" + nfd.normalize_str(s) + low
    )


def tables():
    clean = bert_normalizer(clean_text=True)
    strip = bert_normalizer(strip_accents=True)
    lower = bert_normalizer(lowercase=True)
    nfd, split = normalizers.NFD(), pre_tokenizers.BertPreTokenizer()

    removed = [c for c in CODE_POINTS if clean.normalize_str(chr(c)) == ""]
    marks = [c for c in CODE_POINTS if strip.normalize_str(chr(c)) == ""]
    punct = [c for c in CODE_POINTS if [t for t, _ in split.pre_tokenize_str(f"a{chr(c)}a")] == ["a", chr(c), "a"]]
    active = [
        c for c in CODE_POINTS
        if c > 0x7F and not 0xAC00 <= c <= 0xD7A3 and (nfd.normalize_str(chr(c)) != chr(c) or moves_when_ordered(nfd, c))
    ]
    lowered = {c: lower.normalize_str(chr(c)) for c in CODE_POINTS}
    many = [c for c, s in lowered.items() if len(s) != 1]
    assert many == [0x130], many
    mapping = {c: ord(s) for c, s in lowered.items() if len(s) == 1 and ord(s) != c}

    parts = [
        "// Code generated by testdata/text.py tables; DO NOT EDIT.\n",
        "package text\n",
        'import "unicode"\n',
        go_range_table("removed", "removed are the characters that cleaning drops: control, format and private use, and U+FFFD.", removed),
        go_range_table("accents", "accents are the nonspacing marks that stripping drops.", marks),
        go_range_table("punctuation", "punctuation are the characters that are words of their own.", punct),
        go_range_table("active", "active are the characters that canonical decomposition takes apart or reorders, Hangul syllables apart.", active),
        go_lower_table(mapping),
    ]
    path = ROOT / "transforms" / "text" / "unicode_tables.go"
    path.write_text("\n".join(parts), encoding="utf-8")
    subprocess.run(["gofmt", "-w", str(path)], check=True)


# --- Golden files ---------------------------------------------------------------------

WORDS = """a an the of in on at with and or to is are was were near by over under top bottom left right side
two three four five six man men woman women boy girl child children people person dog dogs cat cats horse bird
ball bat tree street road car bus train plane boat water beach sand snow mountain sky cloud sun moon night day
red green blue yellow orange purple pink black white brown grey small big large little young old tall sitting
standing walking running riding holding playing eating looking wearing playing jump ##ing ##ed ##s ##er ##est
##ly ##ness ##ment un ##able ##tion re pre ##ful cafe naive resume uber strasse fur francais nino manana
el la los de der die das und ein eine le les des est que por para con не на что это он как привет мир москва
кошка собака και το της ελλαδα σοφος ο οδος istanbul ilik ırmak i ##i שלום עולם سلام عالم مرحبا नमस दन भरत
สวัสดี ภาษา こんにちは カタカナ ひらがな ﬁ ﬂ x y z 1 2 3 10 2024 ##0 ##1 ##th 3rd don t s re ve m ll do not ' .
, ! ? - ## [ ] ( ) : ; " & / % $ # @""".split()

SCRIPTS = [
    (0x21, 0x7E), (0xA1, 0x17F), (0x180, 0x24F), (0x250, 0x2AF), (0x300, 0x36F), (0x370, 0x3FF), (0x400, 0x45F),
    (0x531, 0x556), (0x5D0, 0x5EA), (0x621, 0x64A), (0x905, 0x939), (0x93E, 0x94D), (0xE01, 0xE3A), (0x10D0, 0x10F0),
    (0x1100, 0x1112), (0x1161, 0x1175), (0x11A8, 0x11C2), (0x3041, 0x3096), (0x30A1, 0x30FA), (0x2010, 0x2027),
    (0x20A0, 0x20BF), (0x2190, 0x21FF), (0x2600, 0x26FF), (0x1F300, 0x1F3FF), (0x1F600, 0x1F64F), (0xFF01, 0xFF5E),
]
IDEOGRAPHS = "的一是不了人我在有他这中大来上国水火山日月木金土本語漢字龍鳳車電話豈\u2f00\U00020000\U0002b820"


def vocabulary():
    rng = random.Random(20)
    tokens = list(SPECIALS) + [f"[unused{i}]" for i in range(8)]
    for lo, hi in SCRIPTS:
        for c in range(lo, hi + 1):
            for form in dict.fromkeys((chr(c), chr(c).lower())):
                if rng.random() < 0.93 and form.strip():
                    tokens += [form, "##" + form]
    for c in IDEOGRAPHS:
        tokens += [c, "##" + c]
    tokens += WORDS
    for alphabet in ("etaoinshrdlcum", "абвеикнорст", "αεικνορστ", "אבהוילמנר", "ETAOINSRLD", "éèäöüñçş"):
        for _ in range(160):
            piece = "".join(rng.choice(alphabet) for _ in range(rng.randint(2, 5)))
            tokens.append(rng.choice(["", "##"]) + piece)
    return list(dict.fromkeys(t for t in tokens if "\u2028" not in t))


HARD = [
    "", " ", "\n", "a", "A man riding a HORSE on the beach.", "don't do not, it's we've I'm you're",
    "café naïve résumé façade Ångström", "cafe\u0301 nai\u0308ve", "ÀÉÎÕÜ ŁØĐ ßẞ ŉ ǆ Ǆ ǅ", "İstanbul I ı i İİ ILIK ılık",
    "ΟΔΟΣ ΣΟΦΟΣ σοφός ς ὈΔΥΣΣΕΎΣ", "Привет, мир! Ёлка Йод", "你好，世界。漢字かな交じり文 dog狗cat猫", "豈更車賈 \ufa0e\ufaff",
    "한국어 텍스트 강아지", "\u1112\u1161\u11ab", "\u302e\u0327\u0301", "ก็ สวัสดี ภาษาไทย", "नमस्ते दुनिया क्षि", "שָׁלוֹם עוֹלָם", "مَرْحَبًا بِالعَالَم",
    "emoji 😀😃 👨‍👩‍👧‍👦 👩🏽‍🚀 🏳️‍🌈 🇩🇪 ☺️ ❤", "\u200d\u200c\ufe0f", "zero\u200bwidth\u2060joiner\ufeffbom", "soft\u00adhyphen",
    "nb\u00a0sp en\u2002em\u2003thin\u2009hair\u200aideo\u3000nnb\u202fmath\u205fogham\u1680x", "line\u2028sep para\u2029sep nel\u0085x",
    "tab\tnew\nret\rvt\x0bff\x0cnul\x00bell\x07esc\x1bdel\x7fx", "c1 \x80\x9fx", "repl\ufffdace\ufffd", "private\ue000use\U000f0000x",
    "unassigned\u0378x \U0003ffff", "a" * 99, "a" * 100, "a" * 101, "é" * 100, "e\u0301" * 100, "e\u0301" * 101, "dog" * 40, "很" * 120,
    "x" * 100 + "." + "y" * 101, "[CLS] a dog [SEP]", "[cls] [CLs] [ CLS ]", "a[MASK]dog[PAD]", "[MASK][MASK]", "[[MASK]]", "[UNK] [unused1]",
    "a [DEC]photo [ENC] [dec]", "[DEC", "##ing ing ## #", "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", "¡¿«»§¶·…–—‘’“”„†‡•‰′″‹›‼⁇⁈", "。、「」『』（）！？：；～",
    "€£¥₹₿ ±×÷≠≤≥∞√∑ ©®™°", "½ ¼ ² ³ ⅓ Ⅷ ⅷ ① ㊗ ㍿", "ﬁne ﬂow ﬀ ﬃ", "Ａｂｃ １２３ ｶﾀｶﾅ ﾞ", "ℵ ℃ Å Ω K", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝒜 𝟙𝟚", "𐐀𐐁 𞤀𞤁 Ა ა ᲀ Ꭰ ꭰ ᏸ",
    "ʼn ʰ ˈ ˑ ´ ` ¨ ˜ ¸", "a\u0334\u0345\u0301\u0323b", "q\u0307\u0323 \u0344 \u0340\u0341 \u0958 \u0f43 \u2adc \ufb1d \U0001d15e",
    "\u180b\u180e\u061c\u2066iso\u2069 \u202ertl\u202c", "e" + "\u0301" * 60 + "x", "\u302e" + "\u0334\u0345" * 20 + "\u302f", "x\u3099\u309a が ぱ カ\u3099",
    "A man , a plan ; a canal : panama !", "3.14 1,000 10:30 50% #tag @user a/b c\\d e_f g-h", "http://x.y/z?q=1&r=2#f mail@host.tld",
    "\U0002b820 \U0002b91f \U0002b73f \U0002b740 \U0002ceaf \U0002ceb0 \u9fff \ua000 \u3400 \u4dbf \u4dc0", "Ǆ ᾈ ᾼ ῼ Ⓐ ⓐ Ɐ Ꞩ",
]


def corpus():
    rng = random.Random(33)
    texts = list(HARD)
    words = [w.removeprefix("##") for w in WORDS]
    soup = HARD[4:]
    for _ in range(150):
        texts.append(" ".join(rng.choice(words) for _ in range(rng.randint(1, 14))).capitalize())
    for _ in range(150):
        pieces = [rng.choice(soup) for _ in range(rng.randint(1, 3))]
        texts.append("".join(p[rng.randint(0, len(p)) :][: rng.randint(1, 12)] for p in pieces))
    for _ in range(150):
        texts.append("".join(chr(rng.choice(CODE_POINTS)) if rng.random() < 0.2 else random_letter(rng) for _ in range(rng.randint(1, 24))))
    return texts


def random_letter(rng):
    if rng.random() < 0.15:
        return rng.choice(" .,'\u0301\u0327\u302e\u00a0[]")
    lo, hi = rng.choice(SCRIPTS)
    return chr(rng.randint(lo, hi))


def write_gz(path, text):
    with open(path, "wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as f:
        f.write(text.encode("utf-8"))


def folders():
    """name -> writer of a tokenizer folder. Each is a shape of folder found in the wild."""
    from transformers import BertTokenizer

    vocab = vocabulary()

    def vocab_file(d):
        (d / "vocab.txt").write_text("".join(t + "\n" for t in vocab), encoding="utf-8", newline="\n")

    def saved(d, **options):  # as transformers 5 saves it: no vocab.txt
        tmp = pathlib.Path(tempfile.mkdtemp())
        vocab_file(tmp)
        BertTokenizer.from_pretrained(tmp, **options).save_pretrained(d)
        shutil.rmtree(tmp)

    def legacy(d):  # as transformers 4 saved a slow tokenizer
        vocab_file(d)
        n = len(vocab)
        dump(d / "added_tokens.json", {"[DEC]": n, "[ENC]": n + 1})
        names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), SPECIALS))
        dump(d / "special_tokens_map.json", {**names, "bos_token": "[DEC]", "additional_special_tokens": ["[ENC]"]})
        dump(d / "tokenizer_config.json", {"do_lower_case": True, "tokenizer_class": "BertTokenizer", "model_max_length": 512,
                                           "clean_up_tokenization_spaces": True, **names, "bos_token": "[DEC]",
                                           "additional_special_tokens": ["[ENC]"]})

    return {
        "uncased": lambda d: saved(d),
        "cased": lambda d: saved(d, do_lower_case=False),
        "accents": lambda d: saved(d, strip_accents=False, tokenize_chinese_chars=False, extra_special_tokens=["[DEC]"]),
        "legacy": legacy,
    }


def dump(path, value):
    path.write_text(json.dumps(value, ensure_ascii=False) + "\n", encoding="utf-8")


def golden():
    from transformers import BertTokenizer

    shutil.rmtree(GOLDEN, ignore_errors=True)
    GOLDEN.mkdir(parents=True)
    texts, rng = corpus(), random.Random(7)
    for name, write in folders().items():
        d = GOLDEN / name
        d.mkdir()
        write(d)
        tok = BertTokenizer.from_pretrained(d)
        rows = []
        for i, s in enumerate(texts):
            ids = tok(s, add_special_tokens=False).input_ids
            row = {"text": s, "ids": ids, "decoded": tok.decode(tok(s).input_ids, skip_special_tokens=True)}
            if i % 3 == 0:
                row["max"] = rng.randint(2, 12)
                row["cut"] = tok(s, max_length=row["max"], truncation=True).input_ids
            rows.append(row)
        for _ in range(200):  # ids that no text gives: any order, outside the vocabulary too
            ids = [rng.randrange(len(tok) + 3) if rng.random() < 0.5 else rng.choice(punctuation_ids(tok)) for _ in range(rng.randint(0, 10))]
            rows.append({
                "loose": ids,
                "decoded": tok.decode(ids, skip_special_tokens=True),
                "kept": tok.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False),
                "tidied": tok.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=True),
            })
        write_gz(GOLDEN / f"{name}.jsonl.gz", "".join(json.dumps(r, ensure_ascii=True) + "\n" for r in rows))
        pack(d)
    dump(GOLDEN / "codepoints.json", code_point_hashes())


def punctuation_ids(tok):
    marks = [". ", "?", "!", ",", "'", "n", "t", "m", "s", "ve", "re", "do", "not", "##'", "##s", "##."]
    return [tok.convert_tokens_to_ids(m.strip()) for m in marks]


def pack(d):
    """Large JSON files lie in the repository as .gz."""
    for f in list(d.iterdir()):
        if f.stat().st_size > 20_000:
            write_gz(f.with_name(f.name + ".gz"), f.read_text(encoding="utf-8"))
            f.unlink()


def code_point_hashes():
    """Per settings and block of 4096 code points: SHA-256 of what becomes of each of them.

    A character c is seen in "xAc\\u0301cB", as the words that come out, joined by U+001F and
    ended by a newline; so cleaning, decomposition, accents, case and splitting all show.
    """
    split, out = pre_tokenizers.BertPreTokenizer(), {}
    for name, options in {
        "uncased": dict(lowercase=True),
        "cased": dict(lowercase=False),
        "accents": dict(lowercase=True, strip_accents=False, handle_chinese_chars=False),
        "stripped": dict(lowercase=False, strip_accents=True),
    }.items():
        norm, blocks = normalizers.BertNormalizer(**options), {}
        for c in CODE_POINTS:
            s = norm.normalize_str(f"xA{chr(c)}\u0301{chr(c)}B")
            line = "\x1f".join(t for t, _ in split.pre_tokenize_str(s)) + "\n"
            blocks.setdefault(f"{c >> 12:03x}", hashlib.sha256()).update(line.encode("utf-8"))
        out[name] = {k: h.hexdigest()[:16] for k, h in blocks.items()}
    return out


# --- Check of a folder written by blipflow ---------------------------------------------


def check(folder):
    import transformers
    from transformers import AutoTokenizer, BertTokenizer, BertTokenizerFast, BlipImageProcessor, BlipProcessor

    rows = [json.loads(line) for line in open(folder / "expected.jsonl", encoding="utf-8")]
    loaders = {
        "AutoTokenizer": AutoTokenizer.from_pretrained(folder),
        "BertTokenizer": BertTokenizer.from_pretrained(folder),
        "BertTokenizerFast": BertTokenizerFast.from_pretrained(folder),
    }
    with tempfile.TemporaryDirectory() as tmp:  # the processor wants its image half beside it
        shutil.copytree(folder, tmp, dirs_exist_ok=True)
        BlipImageProcessor().save_pretrained(tmp)
        loaders["BlipProcessor"] = BlipProcessor.from_pretrained(tmp).tokenizer
    # The slow tokenizer of transformers 4 has other Unicode tables.
    loaders = {name: tok for name, tok in loaders.items() if tok.is_fast}
    wrong = 0
    for name, tok in loaders.items():
        if len(tok) != rows[0]["size"]:
            wrong += 1
            print(f"{folder.name}, {name}: size {len(tok)}, want {rows[0]['size']}", file=sys.stderr)
    raw = loaders["BertTokenizerFast"].backend_tokenizer.__class__.from_file(str(folder / "tokenizer.json"))
    for row in rows:
        got = {name: differences(tok, row) for name, tok in loaders.items()}
        got["tokenizer.json"] = "" if raw.encode(row["text"]).ids == row["ids"] else "ids"
        for name, what in got.items():
            if what:
                wrong += 1
                print(f"{folder.name}, {name}: {what} of {row['text']!r}", file=sys.stderr)
    print(f"transformers {transformers.__version__}: {folder.name}: {len(rows)} texts, {', '.join(loaders)}: {wrong} differences")
    return wrong


def differences(tok, row):
    ids = tok(row["text"]).input_ids == row["ids"]
    texts = [tok.decode(row[k], skip_special_tokens=True) == row[v] for k, v in (("ids", "decoded"), ("loose", "spoken"))]
    return " ".join(w for w, same in zip(("ids", "text", "loose ids"), [ids, *texts]) if not same)


def main(args):
    if args[:1] == ["check"]:
        folders = sorted(p.parent for p in pathlib.Path(args[1]).glob("*/expected.jsonl"))
        return 1 if not folders or sum(check(f) for f in folders) else 0
    if args in ([], ["tables"]):
        tables()
    if args in ([], ["golden"]):
        golden()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
