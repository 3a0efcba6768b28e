"""Tokenize with the tokenizers of tensorflow-text."""

import functools
import io
from typing import Any

import pytest
import sentencepiece
import tensorflow as tf
import tensorflow_text as tf_text

import maskdata as md

TEXTS = ["to be", "", "日本語 ok!"]


def tokens_of(tokenizer: Any, texts: list[str] = TEXTS) -> Any:
    rows = md.from_rows({"text": texts})
    batch = rows.apply(md.Tokenize("text", into="tokens", tokenizer=tokenizer)).get_single_element()
    assert batch["text"].numpy().tolist() == [text.encode() for text in texts]
    return batch["tokens"].to_list()


def encoded(rows: list[list[str]]) -> list[list[bytes]]:
    return [[token.encode() for token in row] for row in rows]


def sentencepiece_model() -> bytes:
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["to be or not to be", "that is the question"] * 20),
        model_writer=model,
        vocab_size=20,
        minloglevel=2,
    )
    return model.getvalue()


def test_white_space() -> None:
    assert tokens_of(None) == encoded([["to", "be"], [], ["日本語", "ok!"]])
    assert tokens_of(tf_text.WhitespaceTokenizer()) == tokens_of(None)


def test_unicode_scripts() -> None:
    assert tokens_of(tf_text.UnicodeScriptTokenizer()) == encoded(
        [["to", "be"], [], ["日本語", "ok", "!"]]
    )


def test_characters() -> None:
    split = functools.partial(tf.strings.unicode_split, input_encoding="UTF-8")
    assert tokens_of(split) == encoded([list(text) for text in TEXTS])
    codes = tokens_of(tf_text.UnicodeCharTokenizer())
    assert codes == [[ord(character) for character in text] for text in TEXTS]


def test_word_pieces_of_words_are_nested() -> None:
    pieces = ["[UNK]", "to", "be", "##e", "b"]
    word_pieces = tf_text.FastWordpieceTokenizer(
        pieces, token_out_type=tf.string, support_detokenization=False
    )
    assert tokens_of(word_pieces, ["to be", "bee"]) == encoded([["to", "be"], ["be", "##e"]])
    rows = md.from_rows({"text": ["to bee", "be"]})
    by_word = tf_text.FastWordpieceTokenizer(
        pieces, token_out_type=tf.string, no_pretokenization=True, support_detokenization=False
    )
    nested = rows.apply(md.Chain(md.Tokenize("text"), md.Tokenize("text", tokenizer=by_word)))
    batch = nested.apply(md.ToDense()).get_single_element()
    assert batch["text"].numpy().tolist() == [
        [[b"to", b""], [b"be", b"##e"]],
        [[b"be", b""], [b"", b""]],
    ]
    assert batch["text_mask"].numpy().tolist() == [[True, True], [True, False]]
    assert batch["text_mask_2"].numpy().tolist() == [
        [[True, False], [True, True]],
        [[True, False], [False, False]],
    ]


def test_sentence_pieces() -> None:
    tokenizer = tf_text.SentencepieceTokenizer(model=sentencepiece_model(), out_type=tf.string)
    tokens = tokens_of(tokenizer, ["to be", ""])
    assert b"".join(tokens[0]).decode().replace("▁", " ").strip() == "to be"
    assert tokens[1] == []


def test_tokens_replace_the_strings_by_default() -> None:
    rows = md.from_rows({"text": ["to be"]})
    assert list(rows.apply(md.Tokenize("text")).element_spec) == ["text"]
    same = rows.apply(md.Tokenize("text", into="text"))
    assert same.get_single_element()["text"].to_list() == [[b"to", b"be"]]


@pytest.mark.parametrize("tokenizer", [None, tf_text.UnicodeScriptTokenizer()])
def test_a_transform_is_a_value(tokenizer: Any) -> None:
    assert md.Tokenize("text", tokenizer=tokenizer) == md.Tokenize("text", tokenizer=tokenizer)
    assert repr(md.Tokenize("text")) == "Tokenize(feature='text', into=None, tokenizer=None)"
