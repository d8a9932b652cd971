from lexlip_es.engines.errors import ForbiddenError, refusal


def test_a_block_on_new_indices_is_told_as_what_it_is_and_how_it_ends() -> None:
    reason = "blocked by: [FORBIDDEN/10/cluster create-index blocked (api)];"
    cause = {"type": "index_create_block_exception", "reason": reason}
    error = refusal("http://here:9200", 403, {"error": {"root_cause": [cause], **cause}, "status": 403}, None)
    assert not isinstance(error, ForbiddenError)
    assert str(error) == (
        "the engine at http://here:9200 makes no new index (blocked by: [FORBIDDEN/10/cluster create-index blocked (api)]), as "
        "when all its disks are filled beyond the high watermark (90 %): free disk space there and it lifts the block, unless "
        "somebody set cluster.blocks.create_index."
    )


def test_a_lack_of_rights_stays_one() -> None:
    body = {"error": {"type": "security_exception", "reason": "no permissions for [indices:admin/create]"}, "status": 403}
    assert isinstance(refusal("http://here:9200", 403, body, None), ForbiddenError)
