"""Which attributes each product takes of each type of saved object, as its public repository publishes it.

Read at the commits named here, from elastic/kibana and opensearch-project/OpenSearch-Dashboards; nothing was run. A commit is one
of the lines before the release named, not its tag. Dashboards' and Kibana 7.17's mappings are strict (an attribute that they do
not list refuses the object) except where they say `dynamic: false`, which is `None` here; schemas of Kibana 8.8 and later forbid
what they do not list.
"""

from typing import NamedTuple


class Shape(NamedTuple):
    """What a product takes: attributes (None: any) and those that it demands, and where that is published."""

    product: str
    kind: str
    allowed: frozenset[str] | None
    demanded: frozenset[str]
    path: str
    commit: str


def _shape(product: str, kind: str, allowed: str | None, demanded: str, path: str, commit: str) -> Shape:
    return Shape(
        product, kind, None if allowed is None else frozenset(allowed.split()), frozenset(demanded.split()), path, commit
    )


_META = "kibanaSavedObjectMeta"
_SEARCH = f"columns description hits {_META} sort title version"
_SEARCH_8 = (
    f"{_SEARCH} grid rowHeight rowsPerPage hideChart breakdownField isTextBasedQuery usesAdHocDataView timeRestore timeRange "
    "refreshInterval viewMode hideAggregatedPreview"
)
_VISUALIZATION = f"description {_META} savedSearchRefName title uiStateJSON version visState"
_DASHBOARD = f"description hits {_META} optionsJSON panelsJSON refreshInterval timeFrom timeRestore timeTo title version"
_OSD, _KIBANA = "opensearch-project/OpenSearch-Dashboards", "elastic/kibana"
_PLUGINS, _PLATFORM = "src/plugins", "src/platform/plugins/shared"

SHAPES = (
    _shape(_OSD, "index-pattern", None, "title", f"{_PLUGINS}/data/server/saved_objects/index_patterns.ts",
           "0520ec805ed973a486d2c20b9625c71935b1c794"),
    _shape(_OSD, "search", f"{_SEARCH} columnWidths", "title", f"{_PLUGINS}/discover/server/saved_objects/search.ts",
           "24fe7c090f99b148c5c85ac2112f2a7383875c6c"),
    _shape(_OSD, "visualization", _VISUALIZATION, "title", f"{_PLUGINS}/visualizations/server/saved_objects/visualization.ts",
           "5e265add50502af197e7d2b6377fd3c9de43f1a1"),
    _shape(_OSD, "dashboard", _DASHBOARD, "title", f"{_PLUGINS}/dashboard/server/saved_objects/dashboard.ts",
           "1f3582aa215a68738fe3589c589c21834ab79990"),
    _shape(f"{_KIBANA} 7", "search", _SEARCH, "title", f"{_PLUGINS}/discover/server/saved_objects/search.ts",
           "0a804db2a8e0322f27fbcd1e89f4d2d40833e6e7"),
    _shape(f"{_KIBANA} 7.17 to 8.0", "visualization", _VISUALIZATION, "title",
           f"{_PLUGINS}/visualizations/server/saved_objects/visualization.ts", "e1be938d3a48fe3f6d9bd6ba4acbed03d035b0d9"),
    _shape(f"{_KIBANA} 7.17 to 8.0", "dashboard", f"{_DASHBOARD} controlGroupInput", "title",
           f"{_PLUGINS}/dashboard/server/saved_objects/dashboard.ts", "0edac7d8da14cadd2fda941e34d0b208cdff1094"),
    _shape(f"{_KIBANA} 8", "index-pattern", None, "title", f"{_PLUGINS}/data_views/server/saved_objects/data_views.ts",
           "0270556838cb5f6d07a4dcb903efd98918c0fd67"),
    _shape(f"{_KIBANA} 8.8", "search", _SEARCH_8, f"title {_META}", f"{_PLUGINS}/saved_search/server/saved_objects/search.ts",
           "0270556838cb5f6d07a4dcb903efd98918c0fd67"),
    _shape(f"{_KIBANA} 8", "search", f"{_SEARCH_8} sampleSize headerRowHeight visContext density", f"title {_META}",
           f"{_PLUGINS}/saved_search/server/saved_objects/schema.ts", "06ee3187f1d9760421da22d66798a7d751a66a46"),
    _shape(f"{_KIBANA} 8", "dashboard", f"{_DASHBOARD} controlGroupInput", f"title {_META}",
           f"{_PLUGINS}/dashboard/server/dashboard_saved_object/schema/v1/v1.ts", "1e286bf2574e8598300f4549d0126c710eae3872"),
    _shape(f"{_KIBANA} 9", "index-pattern", None, "title", f"{_PLATFORM}/data_views/server/saved_objects/data_views.ts",
           "385d45e489dcf52d33373d97597e6d331f7154cb"),
    _shape(f"{_KIBANA} 9", "visualization", _VISUALIZATION, "title",
           f"{_PLATFORM}/visualizations/server/saved_objects/visualization.ts", "385d45e489dcf52d33373d97597e6d331f7154cb"),
    _shape(f"{_KIBANA} 9", "search", f"{_SEARCH_8} sampleSize headerRowHeight visContext density tabs", f"title {_META}",
           f"{_PLATFORM}/saved_search/server/saved_objects/schema_legacy.ts", "37a128080786e7cb2ce939845bb7ed52e4fb2c87"),
    _shape(f"{_KIBANA} 9", "dashboard", f"{_DASHBOARD} controlGroupInput", "title",
           f"{_PLATFORM}/dashboard/server/dashboard_saved_object/schema/v1/v1.ts", "3c37204bef8a077edf1758caa45474499c2941c7"),
)  # fmt: skip

# What both products' URL formatter takes: src/plugins/data/common/field_formats/converters/url.ts at 0a8b04f0 of Dashboards,
# src/platform/plugins/shared/field_formats/common/converters/url.ts at 1a7bf6ce of Kibana.
URL_FORMAT = frozenset({"type", "urlTemplate", "labelTemplate", "width", "height"})
# What both products' tag cloud takes, and the schemas of its aggregations: src/plugins/vis_type_tagcloud/public/tag_cloud_type.ts
# at 5e99958a of Dashboards, src/plugins/vis_types/tagcloud/public/tag_cloud_type.ts at 0c8b1e4c of Kibana.
TAG_CLOUD = frozenset({"scale", "orientation", "minFontSize", "maxFontSize", "showLabel"})
TAG_CLOUD_SCHEMAS = {"metric": "count", "segment": "terms"}

# The newest migration of each type that Dashboards knows; a document of a later one is refused. Kibana knows later ones as well.
# src/plugins/{data,discover,visualizations,dashboard}/server/saved_objects/*_migrations.ts at 0a8b04f0 (data) and 08d1c138.
NEWEST_MIGRATION = {"index-pattern": "7.6.0", "search": "7.9.3", "visualization": "7.10.0", "dashboard": "7.9.3"}
