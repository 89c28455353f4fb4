-- title: What a column means
-- description: The data dictionary: every view and column, and the rule of each number for deletes, bots and late events.
-- param: view text = % -- a view or a pattern of LIKE
SELECT view, "column", type, meaning, deletes, bots, late
FROM analytics.data_dictionary WHERE view LIKE :view ORDER BY view, "column"
